"""The demo: one question through LangChain and LlamaIndex, on the emulator or the real service."""
