"""LlamaIndex's query bundles as questions to an agent. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from llama_index.core.schema import QueryBundle

from customgpt_transport.options import PromptSettings
from llama_index_customgpt._asking import Question

__all__ = ["CustomGPTQueryBundle", "question_of"]


@dataclass
class CustomGPTQueryBundle(QueryBundle):
    """A question that brings its own settings or conversation: `engine.query(CustomGPTQueryBundle(...))`.

    What `settings` leaves None falls back to the engine's. `session_id` asks in that conversation, whatever
    the engine does by default.
    """

    settings: PromptSettings | None = None
    session_id: str | None = None


def question_of(
    bundle: QueryBundle, settings: PromptSettings | None, session_id: str | None = None
) -> Question:
    """Give what to ask; `settings` and `session_id` are the engine's, which the bundle may override."""
    if isinstance(bundle, CustomGPTQueryBundle):
        settings = _merged(settings, bundle.settings)
        session_id = bundle.session_id or session_id
    files = (bundle.image_path,) if bundle.image_path else ()
    return Question(bundle.query_str, bundle.query_str, session_id, settings, files)


def _merged(general: PromptSettings | None, special: PromptSettings | None) -> PromptSettings | None:
    if general is None or special is None:
        return special or general
    return replace(general, **{key: value for key, value in vars(special).items() if value is not None})
