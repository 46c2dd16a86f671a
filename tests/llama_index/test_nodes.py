"""Citations as nodes."""

from __future__ import annotations

import pickle

import pytest
from llama_index.core.postprocessor import SimilarityPostprocessor
from llama_index.core.schema import ImageNode, MetadataMode, TextNode

from customgpt_transport.models import Citation
from llama_index_customgpt.nodes import citation_blocks, to_node, to_nodes

FULL = Citation(
    12, "Refunds", "https://lamps.example/refunds", "Paid within five days.", "https://lamps.example/r.png"
)
STUB = Citation(13, resolved=False, problem="404")


@pytest.mark.parametrize(
    ("citation", "text"),
    [
        (FULL, "Refunds\n\nPaid within five days."),
        (Citation(1, title="Refunds"), "Refunds"),
        (Citation(1, description="Paid."), "Paid."),
        (Citation(1, title="", url="https://lamps.example/"), "https://lamps.example/"),
        (STUB, "Citation 13"),
    ],
)
def test_a_nodes_text_is_title_and_description_and_never_empty(citation, text):
    scored = to_node(citation, position=1)
    assert type(scored.node) is TextNode
    assert scored.text == scored.get_content(MetadataMode.NONE) == text


def test_ids_are_unique_and_the_same_in_every_answer():
    nodes = to_nodes([FULL, STUB, Citation(14, title="Refunds")])
    assert [scored.node.node_id for scored in nodes] == ["12", "13", "14"]
    assert [scored.node.metadata["citation_id"] for scored in nodes] == [12, 13, 14]
    assert len({scored.node.hash for scored in nodes}) == 3
    assert to_nodes([FULL])[0].node.node_id == "12"


def test_metadata_is_flat_without_none_and_models_see_no_ids():
    node = to_node(FULL, position=2).node
    assert node.metadata == {
        "url": "https://lamps.example/refunds",
        "source": "https://lamps.example/refunds",
        "title": "Refunds",
        "description": "Paid within five days.",
        "image": "https://lamps.example/r.png",
        "citation_id": 12,
        "position": 2,
        "score_is_constant": True,
    }
    for mode in (MetadataMode.LLM, MetadataMode.EMBED):
        text = node.get_content(mode)
        assert "https://lamps.example/refunds" in text
        assert "citation_id" not in text
        assert "position" not in text
        assert "score" not in text
    assert to_node(STUB, position=1).node.metadata == {
        "source": "Citation 13",
        "citation_id": 13,
        "position": 1,
        "score_is_constant": True,
        "problem": "404",
    }


def test_the_score_is_a_constant_that_says_so_or_none():
    with_score, without = to_node(FULL, position=1), to_node(FULL, position=1, score=None)
    assert with_score.score == 1.0
    assert with_score.node.metadata["score_is_constant"] is True
    assert SimilarityPostprocessor().postprocess_nodes([with_score]) == [with_score]
    assert without.score is None
    assert "score_is_constant" not in without.node.metadata


def test_the_image_is_an_address_in_the_metadata():
    node = to_node(FULL, position=1).node
    assert not isinstance(node, ImageNode)
    assert node.metadata["image"] == "https://lamps.example/r.png"


def test_sources_in_a_history_are_citation_blocks():
    block, stub = citation_blocks(to_nodes([FULL, STUB]))
    assert (block.source, block.title) == ("https://lamps.example/refunds", "Refunds")
    assert block.additional_location_info == {"citation_id": 12, "position": 1}
    assert (stub.source, stub.title) == ("", "")
    assert pickle.loads(pickle.dumps(block)) == block
