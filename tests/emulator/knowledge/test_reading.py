"""Documents into passages, prompts into answers: the pure pieces."""

from __future__ import annotations

import io
import zipfile

import pytest

from customgpt_emulator.knowledge.documents import Unreadable, read_document
from customgpt_emulator.knowledge.passages import Passage, sentences, split_passages
from customgpt_emulator.knowledge.retrieval import Candidate, choose, compose
from customgpt_emulator.knowledge.terms import Terms
from customgpt_emulator.wire.events import fresh_tokens, replay_tokens


class TestPassages:
    def test_headings_tell_where_a_passage_stands(self):
        text = "# Shop\n\nHello.\n\n## Prices ##\n\nCheap.\n\nSub\n---\n\nDeep.\n\n# Other\nEnd."
        assert split_passages(text) == [
            Passage("Shop", "Hello."),
            Passage("Shop > Prices", "Cheap."),
            Passage("Shop > Sub", "Deep."),
            Passage("Other", "End."),
        ]

    def test_the_lines_of_a_paragraph_are_joined(self):
        assert [p.text for p in split_passages("one\ntwo\n\nthree")] == ["one two", "three"]

    def test_a_sentence_that_introduces_a_list_stays_with_it(self):
        assert [p.text for p in split_passages("You need:\n\n- salt\n\n- oil\n  of olives\n\nDone.")] == [
            "You need:\n\n- salt\n- oil\n  of olives",
            "Done.",
        ]

    def test_tables_and_code_stay_whole(self):
        table, code = "| a | b |\n|---|---|\n| 1 | 2 |", "```py\n# no heading\n\nx = 1\n```"
        assert [p.text for p in split_passages(f"{table}\n\n{code}")] == [table, code]

    def test_a_fence_that_is_never_closed_is_closed(self):
        assert [p.text for p in split_passages("```\nx")] == ["```\nx\n```"]

    def test_a_long_table_is_cut_and_its_head_repeated(self):
        rows = [f"| {n} |" for n in range(150)]
        parts = [p.text.split("\n") for p in split_passages("\n".join(["| n |", "|---|", *rows]))]
        assert [len(part) for part in parts] == [62, 62, 32]
        assert all(part[:2] == ["| n |", "|---|"] for part in parts)
        assert [row for part in parts for row in part[2:]] == rows

    def test_a_long_code_block_is_cut_between_fences(self):
        parts = [p.text.split("\n") for p in split_passages("```\n" + "x\n" * 100 + "```")]
        assert [(part[0], len(part), part[-1]) for part in parts] == [("```", 62, "```"), ("```", 42, "```")]

    def test_a_long_paragraph_is_cut_between_sentences_and_loses_nothing(self):
        text = " ".join(f"Sentence number {n} ends here." for n in range(200))
        parts = [p.text for p in split_passages(text)]
        assert len(parts) > 3
        assert " ".join(parts) == text
        assert all(part.endswith(".") for part in parts)

    def test_text_without_any_end_is_cut_all_the_same(self):
        parts = [p.text for p in split_passages("x" * 5000)]
        assert "".join(parts) == "x" * 5000
        assert max(map(len, parts)) <= 1200

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("One. Two! Three?", ["One.", "Two!", "Three?"]),
            ("It costs 3.50 euros. Dr. Who e.g. knows.", ["It costs 3.50 euros.", "Dr. Who e.g. knows."]),
            ('He said "no." Then left.', ['He said "no."', "Then left."]),
            ("", []),
        ],
    )
    def test_sentences(self, text: str, expected: list[str]):
        assert sentences(text) == expected


class TestDocuments:
    def test_front_matter_names_a_document(self):
        document = read_document("a.md", b'---\ntitle: "T"\nurl: https://x.example/a\n---\n# H\n\nText.')
        assert (document.title, document.url, document.description) == ("T", "https://x.example/a", "Text.")

    def test_a_heading_names_a_document_else_its_file_does(self):
        assert read_document("a.md", b"# **Bold** [link](x)\n\nText.").title == "Bold link"
        assert read_document("dir/price-list_2.md", b"Text.").title == "Price list 2"
        assert read_document("a.txt", b"Lamps\n\nThe Aurora.").title == "Lamps"

    def test_html_becomes_markdown(self):
        page = b"""<html><head><title>T &amp; U</title><style>p{}</style></head><body><nav>menu</nav>
        <h2>Head</h2><p>One <b>two</b><br>three</p><ul><li>a<li>b</ul><pre>x  = 1\ny</pre>
        <table><tr><td>k|1</td><td>v</td></tr></table><p>open"""
        document = read_document("a.html", page)
        assert document.title == "T & U"
        assert document.text.split("\n\n") == [
            "## Head",
            "One two three",
            "- a\n- b",
            "```\nx  = 1\ny\n```",
            "| k\\|1 | v |\n| --- | --- |",
            "open",
        ]

    @pytest.mark.parametrize(
        "source",
        [
            "<!doctype html><meta charset=utf-8><title>T</title><p>said",
            "<html><head><title>T</title><script>x</script><p>said</html>",
            "<html><head><title>T</title>said</html>",
            "<html><head><title>T</title></head><body><select><option>x</select><p>said",
            "<title>T</title><nav><button>x</nav><p>said",
        ],
    )
    def test_html_without_the_tags_that_may_be_left_out(self, source: str):
        document = read_document("a.html", source.encode())
        assert (document.title, document.text) == ("T", "said")

    def test_rows_and_cells_whose_ends_may_be_left_out(self):
        page = b"<table><tr><td>Aurora<td>120 euros<tr><td>Comet<td>80 euros</table><p>said"
        assert read_document("a.html", page).text == (
            "| Aurora | 120 euros |\n| --- | --- |\n| Comet | 80 euros |\n\nsaid"
        )

    def test_a_title_is_text_whatever_it_looks_like(self):
        document = read_document("a.html", b"<title>a <b> tag</title><p>said")
        assert (document.title, document.text) == ("a <b> tag", "said")

    def test_a_reference_to_no_character_is_no_failure(self):
        assert read_document("a.html", b"<p>&#" + b"9" * 5000 + b";said").text == "\ufffdsaid"

    @pytest.mark.parametrize("tag", ["nav", "button", "select", "svg"])
    def test_what_is_never_ended_does_not_silence_the_rest(self, tag: str):
        assert "said" in read_document("a.html", f"<p>x</p><{tag}>menu<p>said</p>".encode()).text

    @pytest.mark.parametrize(
        "data", ["é".encode(), "é".encode("utf-16"), "é".encode("cp1252"), b"\xef\xbb\xbf" + "é".encode()]
    )
    def test_encodings_are_found_out(self, data: bytes):
        assert read_document("a.txt", data).text.strip() == "é"

    @pytest.mark.parametrize(
        ("name", "data", "reason"),
        [
            ("a.md", b" \n", "no text"),
            ("a.xyz", b"x", "not supported"),
            ("a.txt", b"\x00\x01", "not text"),
            ("a.pdf", b"%PDF-nonsense", "not a readable PDF"),
            ("a.docx", b"PK-nonsense", "not a readable Word document"),
        ],
    )
    def test_what_cannot_be_read_says_why(self, name: str, data: bytes, reason: str):
        with pytest.raises(Unreadable, match=reason):
            read_document(name, data)

    def test_a_word_file_that_unpacks_to_very_much_is_refused(self):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr("word/document.xml", b" " * 40 * 2**20)
        assert len(file.getvalue()) < 100_000
        with pytest.raises(Unreadable, match="unpacks to more"):
            read_document("bomb.docx", file.getvalue())


class TestTerms:
    @pytest.mark.parametrize(
        ("prompt", "word"),
        [
            ("refunds", "refunded"),
            ("policies", "policy"),
            ("prices", "pricing"),
            ("cancellation", "cancelled"),
            ("shipping", "ships"),
            ("café", "cafes"),
            ("APIs", "api"),
            ("copies", "copy"),
            ("copy", "copies"),
            ("key", "keys"),
            ("bulbs", "bulb"),
            ("days", "day"),
            ("delivery", "delivered"),
            ("warranties", "warranty"),
            ("bus", "bus"),
            ("ship", "shipping"),
            ("glass", "glasses"),
            ("2024", "2024"),
        ],
    )
    def test_forms_of_a_word_meet(self, prompt: str, word: str):
        assert Terms.of(prompt).found_in(f"the {word}, and") == {0}

    def test_short_words_do_not_find_longer_ones(self):
        assert Terms.of("cat").found_in("category bobcat") == set()

    def test_question_words_do_not_count(self):
        assert not Terms.of("What is it, and how do they do that?")


def candidate(page: int, text: str, position: int = 0, rank: float = 1.0) -> Candidate:
    return Candidate(page, f"page{page}", position, f"Title {page}", "", text, rank)


class TestChoosing:
    @pytest.mark.parametrize(
        ("prompt", "text", "enough"),
        [
            ("red", "red", True),
            ("red green", "red", False),
            ("red green", "green red", True),
            ("red green blue", "red", False),
            ("red green blue", "red blue", True),
            ("red green blue yellow", "red blue", False),
            ("red green blue yellow", "red blue green", True),
            ("red green blue yellow black white", "red blue green", True),  # several things at once
            ("how many days", "three days", False),  # units of time alone are no subject
            ("red days", "red", True),
            ("2 + 30", "2 + 30", False),
            ("is it red in Oz", "red", False),
            ("is it red in Oz and blue, green", "red green blue", False),  # a name that nobody knows
        ],
    )
    def test_a_passage_must_hold_most_of_the_terms(self, prompt: str, text: str, enough: bool):
        assert bool(choose([candidate(1, text)], Terms.of(prompt))) == enough

    def test_short_words_have_endings_and_begin_no_others(self):
        king = Terms.of("king")
        assert king.found_in("two kings") == {0}
        assert king.found_in("the United Kingdom") == set()

    def test_three_pages_at_most(self):
        found = choose([candidate(n, f"lamp {n}") for n in range(1, 9)], Terms.of("lamp"))
        assert [c.page_id for c in found] == [1, 2, 3]

    def test_the_same_words_are_quoted_once(self):
        assert len(choose([candidate(1, "lamp"), candidate(2, "lamp")], Terms.of("lamp"))) == 1

    def test_the_order_of_what_was_found_does_not_matter(self):
        found = [candidate(n, f"lamp {n}", rank=n % 3) for n in range(1, 9)]
        assert choose(found, Terms.of("lamp")) == choose(found[::-1], Terms.of("lamp"))


class TestComposing:
    def test_a_long_table_is_shortened_to_the_rows_asked_about(self):
        rows = [f"| lamp{n} | {n} euros |" for n in range(20)]
        text = "\n".join(["| lamp | price |", "|---|---|", *rows])
        answer = compose([candidate(1, text)], Terms.of("price of lamp7"))
        assert answer == "**Title 1**\n\n| lamp | price |\n|---|---|\n| lamp7 | 7 euros |"

    def test_a_long_paragraph_is_shortened_to_the_sentences_asked_about(self):
        text = " ".join(f"Filler number {n} says very little about anything at all." for n in range(20))
        answer = compose([candidate(1, text + " Zebras are striped.")], Terms.of("zebra"))
        assert answer.endswith("Zebras are striped.")
        assert len(answer) < 200


class TestTokens:
    @pytest.mark.parametrize(
        "text", ["", " ", "a", "Hi,  you.\n\n- é ü\n| x |", "日本語" * 20, "a" * 50, " x "]
    )
    def test_the_pieces_make_the_text(self, text: str):
        assert "".join(fresh_tokens(text)) == text
        assert "".join(replay_tokens(text)) == text

    def test_fresh_pieces_lead_with_their_space_and_begin_empty(self):
        assert fresh_tokens("Hi you. Bye") == ["", "Hi", " you", ".", " Bye"]

    def test_replayed_pieces_trail_theirs(self):
        assert replay_tokens("Hi you. Bye") == ["Hi ", "you. ", "Bye"]

    def test_long_words_come_in_pieces(self):
        assert fresh_tokens("a" * 30)[1:] == ["a" * 12, "a" * 12, "a" * 6]
