"""A constructor that fails never shows the key, not even in a traceback with locals."""

from __future__ import annotations

import traceback
from typing import Any

import pytest

from customgpt_transport import ConfigurationError
from llama_index_customgpt import (
    CustomGPTChatEngine,
    CustomGPTIndex,
    CustomGPTQueryEngine,
    CustomGPTRetriever,
)


@pytest.mark.parametrize(
    "made", [CustomGPTQueryEngine, CustomGPTChatEngine, CustomGPTRetriever, CustomGPTIndex]
)
@pytest.mark.parametrize("settings", [{"base_url": "ftp://x"}, {"timeout": -1}])
def test_the_key_is_masked_at_once(made: Any, settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(api_key="1|SECRETKEY", project_id=1, **settings)
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    ours = [frame for frame in shown.stack if "llama_index_customgpt" in frame.filename]
    assert ours
    assert not [frame for frame in ours if "SECRETKEY" in str(frame.locals)]
