"""An agent's whole life through both clients, against the emulator: made, filled, asked, cited, deleted."""

from __future__ import annotations

import io

import pytest

from customgpt_transport.errors import CustomGPTError, NotFound


@pytest.fixture
def api(emulator):
    return emulator


def test_an_agent_is_made_from_files_cites_them_and_is_deleted(call, tmp_path):
    handbook = tmp_path / "handbook.txt"
    handbook.write_text("Flamingos stand on one leg to keep warm. Their colour comes from shrimps.")
    told, sent = [], []
    agent = call(
        lambda client: client.agents.create(
            "Zoo",
            files=[handbook, ("otters.txt", b"Otters hold hands while they sleep on the water.")],
            file_data_retention=True,
            on_progress=lambda done, total: sent.append((done, total)),
        )
    )
    assert sent[-1][0] == sent[-1][1]
    ready = call(lambda client: client.agents.wait_until_ready(agent.id, on_progress=told.append))
    assert ready.is_chat_active
    assert told[-1].pages_indexed == 2

    pages = call(lambda client: client.pages.list(project_id=agent.id, index_status="ok", limit=1))
    assert [page.filename for page in pages] == ["otters.txt", "handbook.txt"]
    sources = call(lambda client: client.sources.list(project_id=agent.id))
    assert {page.filename for page in sources.uploads.pages} == {"otters.txt", "handbook.txt"}

    message = call(lambda client: client.ask("Why do flamingos stand on one leg?", project_id=agent.id))
    assert message.citation_ids == (pages[1].id,)
    copy = io.BytesIO()
    call(lambda client: client.pages.preview(message.citation_ids[0], to=copy))
    assert copy.getvalue() == handbook.read_bytes()

    call(
        lambda client: client.pages.update_metadata(
            pages[1].id, project_id=agent.id, title="The handbook", url="https://example.org/handbook"
        )
    )
    (citation,) = call(lambda client: client.citations(message))
    assert (citation.title, citation.url) == ("The handbook", "https://example.org/handbook")

    call(lambda client: client.pages.reindex(pages[1].id, project_id=agent.id))
    call(lambda client: client.pages.delete(pages[0].id, project_id=agent.id))
    assert call(lambda client: client.agents.stats(agent.id)).pages_found == 1
    call(lambda client: client.agents.delete(agent.id))
    with pytest.raises(NotFound):
        call(lambda client: client.agents.get(agent.id))


def test_a_sitemap_is_added_refreshed_and_removed(call):
    source = call(lambda client: client.sources.add(sitemap_path="https://example.org/sitemap.xml"))
    assert source.sitemap_path == "https://example.org/sitemap.xml"
    changed = call(
        lambda client: client.sources.update(
            source.id, execute_js=False, refresh_frequency="weekly", remove_missing_pages=True
        )
    )
    assert changed.settings["executive_js"] is False
    assert changed.settings["data_refresh_frequency"] == "weekly"
    call(lambda client: client.sources.sync(source.id))
    call(lambda client: client.sources.delete(source.id))
    assert source.id not in {each.id for each in call(lambda client: client.sources.list()).sitemaps}


def test_settings_are_read_back_as_they_were_written(call):
    call(
        lambda client: client.agents.update_settings(
            default_prompt="Ask about lamps",
            example_questions=["Which bulb?", "How bright?"],
            enable_citations=2,
            markdown_enabled=False,
        )
    )
    settings = call(lambda client: client.agents.settings())
    assert settings.default_prompt == "Ask about lamps"
    assert settings.example_questions == ("Which bulb?", "How bright?")
    assert settings.enable_citations == 2
    assert settings.extra["markdown_enabled"] is False
    call(lambda client: client.agents.update_settings(example_questions=[]))
    assert call(lambda client: client.agents.settings()).example_questions == ()


def test_agents_are_walked_over_several_pages_renamed_and_copied(call):
    made = [call(lambda client, n=n: client.agents.create(f"Agent {n}")).id for n in range(11)]
    found = [agent.id for agent in call(lambda client: client.agents.list(name="Agent"))]
    assert found == sorted(made, reverse=True)
    assert call(lambda client: client.agents.update(made[0], name="Renamed")).name == "Renamed"
    assert call(lambda client: client.agents.replicate(made[0])).id not in made


def test_an_agent_whose_only_file_cannot_be_read_is_not_waited_for(call):
    agent = call(lambda client: client.agents.create("Broken", files=[("scan.pdf", b"not a pdf")]))
    with pytest.raises(CustomGPTError, match=r"every page of it failed.*scan\.pdf"):
        call(lambda client: client.agents.wait_until_ready(agent.id))


def test_limits_and_user_are_read(call, emulator):
    limits = call(lambda client: client.limits.get())
    assert limits.current_projects == 1
    assert limits.max_queries > 0
    assert call(lambda client: client.user.update("Ada")).name == "Ada"
    assert call(lambda client: client.user.get()).name == "Ada"
