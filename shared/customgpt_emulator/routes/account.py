"""The user, and how much of the plan is used."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from customgpt_emulator.routes.agents import MOST_AGENTS
from customgpt_emulator.serving.call import Call, Route
from customgpt_emulator.wire.errors import Invalid
from customgpt_emulator.wire.shapes import TEAM_ID, USER_ID

__all__ = ["ROUTES"]

MOST_QUERIES = 1000  # a month, of the vendor's Standard plan
MOST_STORAGE = 5000


async def get_user(call: Call) -> web.StreamResponse:
    """Answer with the user of the key."""
    return call.success(_user(call))


async def update_user(call: Call) -> web.StreamResponse:
    """Change name and photo. Of the photo only the file name is kept."""
    store = call.context.store
    if "name" in call.body.fields:
        name = call.text("name")
        if name is None:
            raise Invalid(name="The name field is required.")
        if len(name) > 255:
            raise Invalid(name="The name may not be greater than 255 characters.")
        store.set_fact("user_name", name)
    for upload in call.body.files:
        if upload.field == "profile_photo":
            store.set_fact("user_photo", upload.filename.replace("\\", "/").rpartition("/")[2])
    store.set_fact("user_updated_at", str(call.now))
    return call.success(_user(call))


def _user(call: Call) -> dict[str, Any]:
    store = call.context.store
    created = float(store.fact("created_at") or call.now)
    photo = store.fact("user_photo") or "default.png"
    return {
        "id": USER_ID,
        "name": store.fact("user_name") or "Emulator User",
        "email": "user@emulator.invalid",
        "current_team_id": TEAM_ID,
        "profile_photo_url": f"{call.shapes.origin}/storage/profile-photos/{photo}",
        "created_at": call.shapes.date(created),
        "updated_at": call.shapes.date(float(store.fact("user_updated_at") or created)),
    }


async def get_limits(call: Call) -> web.StreamResponse:
    """Answer with what the plan allows, and what is used of it."""
    store, left = call.context.store, call.context.quotas.credits
    used = int(store.fact("queries") or 0)
    return call.success(
        {
            "max_projects_num": MOST_AGENTS,
            "current_projects_num": store.count("SELECT COUNT(*) FROM agents"),
            "max_total_storage_credits": MOST_STORAGE,
            "current_total_storage_credits": store.count("SELECT COUNT(*) FROM pages WHERE failure IS NULL"),
            "max_queries": MOST_QUERIES if left is None else used + left,
            "current_queries": used,
        }
    )


ROUTES = (
    Route("user.get", "GET", "/user", get_user, "OpenAPI"),
    Route("user.update", "POST", "/user", update_user, "OpenAPI"),
    Route("limits.get", "GET", "/limits/usage", get_limits, "OpenAPI"),
)
