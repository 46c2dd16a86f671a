"""The settings of an agent: their defaults, and how a form changes them. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from customgpt_emulator.wire.bodies import Upload, is_true
from customgpt_emulator.wire.errors import ApiError

__all__ = ["DEFAULTS", "changed"]

_ASSETS = "https://assets.customgpt.ai/assets/imgs"
# Names, types and defaults: vendor OpenAPI 1.0.0, `ProjectSettings`; some as captured in 2023 and 2025.
# The documented default of `hide_sources_from_responses` is true, but all captured answers have citations.
DEFAULTS: dict[str, Any] = {
    "chatbot_avatar": f"{_ASSETS}/default_chatbot_avatar.png",
    "chatbot_background_type": "image",
    "chatbot_background": f"{_ASSETS}/default_chatbot_bg.png",
    "chatbot_background_color": "#F5F5F5",
    "default_prompt": "Ask Me Anything ...",
    "example_questions": None,
    "response_source": "default",
    "chatbot_msg_lang": "en",
    "chatbot_color": "#000000",
    "chatbot_toolbar_color": "#000000",
    "persona_instructions": None,
    "citations_answer_source_label_msg": "Where did this answer come from?",
    "citations_sources_label_msg": "Sources",
    "hang_in_there_msg": "Hang in there! I'm thinking..",
    "chatbot_siesta_msg": "Oops! The agent is taking a siesta. Please try again later.",
    "is_loading_indicator_enabled": True,
    "enable_citations": 3,
    "enable_feedbacks": True,
    "citations_view_type": "user",
    "image_citation_display": "default",
    "no_answer_message": "I'm sorry, I don't know the answer",
    "ending_message": None,
    "try_asking_questions_msg": "Try asking these questions...",
    "view_more_msg": "View more",
    "view_less_msg": "View less",
    "remove_branding": False,
    "private_deployment": False,
    "enable_recaptcha_for_public_chatbots": False,
    "chatbot_model": "gpt-4-o",
    "is_selling_enabled": False,
    "license_slug": None,
    "selling_url": None,
    "can_share_conversation": False,
    "can_export_conversation": False,
    "hide_sources_from_responses": False,
    "input_field_addendum": None,
    "user_avatar_enabled": False,
    "user_avatar": None,
    "spotlight_avatar_enabled": False,
    "spotlight_avatar": None,
    "spotlight_avatar_shape": "rectangle",
    "spotlight_avatar_type": "default",
    "user_avatar_orientation": "agent-left-user-right",
    "chatbot_title": None,
    "chatbot_title_color": "#000000",
    "enable_inline_citations_api": False,
    "conversation_time_window": False,
    "conversation_retention_period": "year",
    "conversation_retention_days": 180,
    "use_context_aware_starter_question": False,
    "enable_agent_knowledge_base_awareness": True,
    "markdown_enabled": True,
}

_CHOICES: dict[str, tuple[Any, ...]] = {
    "response_source": ("default", "own_content", "openai_content"),
    "citations_view_type": ("user", "show", "hide"),
    "image_citation_display": ("default", "first_only"),
    "chatbot_background_type": ("image", "color"),
    "conversation_retention_period": ("custom", "year", "never"),
    "enable_citations": (0, 1, 2, 3),
    "user_avatar_orientation": (
        "agent-left-user-right",
        "agent-right-user-right",
        "agent-right-user-left",
        "agent-left-user-left",
    ),
}
LARGEST = 10**9  # the limit of any number
_LONGEST = {
    "default_prompt": 255,
    "no_answer_message": 1000,
    "ending_message": 1000,
    "persona_instructions": 12_000,
    "chatbot_color": 9,
    "chatbot_toolbar_color": 9,
    "citations_answer_source_label_msg": 255,
    "citations_sources_label_msg": 255,
    "hang_in_there_msg": 255,
    "chatbot_siesta_msg": 255,
    "try_asking_questions_msg": 255,
    "view_more_msg": 255,
    "view_less_msg": 255,
    "input_field_addendum": 100,
    "chatbot_title": 30,
}
# The field of a picture in a form, the setting with its URL, and its name in a refusal.
_PICTURES = (
    ("chat_bot_avatar", "chatbot_avatar", "avatar"),
    ("chat_bot_bg", "chatbot_background", "background"),
)
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"BM")


def changed(fields: Mapping[str, Any], files: Mapping[str, Upload], *, origin: str) -> dict[str, Any]:
    """Return the settings that a form changes, in their proper types. Unknown names are left out.

    Raises 400 in the documented words for a picture that is none and for an empty language, and in similar
    words for a value that the setting cannot have.
    """
    found: dict[str, Any] = {}
    for name, value in fields.items():
        if name in DEFAULTS and name not in ("chatbot_avatar", "chatbot_background"):
            found[name] = _typed(name, value)
    if "chatbot_msg_lang" in found and not found["chatbot_msg_lang"]:
        raise ApiError(400, "Language Proficiency is required.")
    for form_name, setting, word in _PICTURES:
        upload = files.get(form_name) or files.get(setting)
        if upload is not None:
            if not upload.data.startswith(_MAGIC):
                raise ApiError(400, f"Please upload a valid image file for {word}")
            found[setting] = f"{origin}/storage/{form_name}/{upload.filename.rpartition('/')[2]}"
    return found


def _typed(name: str, value: Any) -> Any:
    default = DEFAULTS[name]
    if isinstance(default, bool):
        return is_true(value)
    if isinstance(value, str):
        value = value.strip() or None
    if isinstance(default, int):
        if isinstance(value, float) and value.is_integer():  # not NaN or an infinity
            value = int(value)
        if isinstance(value, str) and re.fullmatch("[0-9]{1,9}", value):
            value = int(value)
        if not isinstance(value, int) or abs(value) > LARGEST:
            raise _refused(name)
        value = int(value)
    elif name == "example_questions":
        return [item for item in value if item] if isinstance(value, list) else None
    elif value is not None and not isinstance(value, str):
        raise _refused(name)
    if name in _CHOICES and value not in _CHOICES[name]:
        raise _refused(name)
    if isinstance(value, str) and len(value) > _LONGEST.get(name, 2000):
        raise _refused(name)
    return value


def _refused(name: str) -> ApiError:
    return ApiError(400, f"The selected {name.replace('_', ' ')} is invalid.")
