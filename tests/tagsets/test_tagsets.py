from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from string import ascii_lowercase

import pytest

from hf_bilstm.data import read_word_pos
from hf_bilstm.tagsets import (
    TAGSETS,
    describe_tags,
    load_mapping,
    load_tagset,
    map_tags,
    mapped_tagsets,
    report_unknown_tags,
)

UNIVERSAL = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
LTP = "a b c d e g h i j k m n nd nh ni nl ns nt nz o p q r u v wp ws x"


def test_the_tag_sets_have_the_tags_of_their_lists():
    assert sorted(load_tagset("upos")) == UNIVERSAL.split()
    assert sorted(load_tagset("863")) == LTP.split()
    two_letters = "ad an nr ns nt nx nz vd vn Ag Bg Dg Mg Ng Rg Tg Vg Yg"
    pku = {*ascii_lowercase, *two_letters.split(" ")}
    assert set(load_tagset("pku")) == pku - {"g"}
    assert len(load_tagset("pku")) == 43


@pytest.mark.parametrize("name", TAGSETS)
def test_every_tag_is_explained(name):
    for tag, meaning in load_tagset(name).items():
        assert meaning.zh, tag
        assert meaning.en, tag
        assert meaning.examples, tag


@pytest.mark.parametrize(
    ("source", "target"), [(source, target) for source in TAGSETS for target in mapped_tagsets(source)]
)
def test_every_tag_is_mapped_to_one_of_the_other_set(source, target):
    mapping = load_mapping(source, target)
    assert set(mapping) == set(load_tagset(source))
    assert {entry.target for entry in mapping.values()} <= set(load_tagset(target))
    assert all(entry.source for entry in mapping.values())


def test_there_are_four_mappings():
    assert {name: mapped_tagsets(name) for name in TAGSETS} == {
        "pku": ["863", "upos"],
        "863": ["pku", "upos"],
        "upos": [],
    }


def test_times_and_organizations_are_never_confused():
    assert "organization" in load_tagset("pku")["nt"].en
    assert load_tagset("pku")["nt"].zh == "机构团体"
    assert load_tagset("863")["nt"].zh == "时间词"
    assert map_tags(["nt", "t"], "pku", "863") == ["ni", "nt"]
    assert map_tags(["nt", "ni"], "863", "pku") == ["t", "nt"]
    assert map_tags(["nt", "t"], "pku", "upos") == ["PROPN", "NOUN"]
    assert map_tags(["nt", "ni"], "863", "upos") == ["NOUN", "PROPN"]


@pytest.mark.parametrize(("source", "target"), [("pku", "863"), ("863", "pku")])
def test_a_mapping_that_loses_nothing_comes_back(source, target):
    there, back = load_mapping(source, target), load_mapping(target, source)
    for tag, entry in there.items():
        if not entry.loss:
            assert back[entry.target].target == tag
        # What several tags share cannot all come back.
        shared = [other for other, rest in there.items() if rest.target == entry.target]
        returned = back[entry.target].target
        assert all(there[other].loss or other == returned for other in shared), (tag, shared)


def test_the_mappings_from_863_agree_for_both_ways_to_upos():
    direct, through = load_mapping("863", "upos"), load_mapping("863", "pku")
    pku = load_mapping("pku", "upos")
    differing = {tag for tag in direct if direct[tag].target != pku[through[tag].target].target}
    assert differing == {"i", "x"}  # where the sources themselves differ


def test_unknown_names_and_tags_are_refused():
    with pytest.raises(ValueError, match="no tag set 'ctb'; there are 'pku', '863', 'upos'"):
        load_tagset("ctb")
    with pytest.raises(ValueError, match="no mapping from 'upos' to 'pku'; 'upos' is mapped to no other set"):
        load_mapping("upos", "pku")
    with pytest.raises(ValueError, match="'vvn': not in the tag set 'pku'"):
        map_tags(["n", "vvn"], "pku", "upos")


def test_unknown_tags_are_logged(caplog):
    tags = [("n", "line 1"), ("na", "line 2"), ("na", "line 3")]
    assert report_unknown_tags(tags, "pku") == ["na"]
    assert "line 2: tag 'na' (2 in all) is not in the tag set 'pku'" in caplog.text


def test_a_config_can_explain_its_tags():
    fields = describe_tags(["n", "nt", "na"], "pku")
    assert fields["tag_meanings"]["nt"]["zh"] == "机构团体"
    assert "na" not in fields["tag_meanings"]
    assert fields["tag_mappings"] == {"863": {"n": "n", "nt": "ni"}, "upos": {"n": "NOUN", "nt": "PROPN"}}
    assert json.loads(json.dumps(fields, ensure_ascii=False)) == fields


def test_the_examples_of_pku_carry_their_tags_in_the_corpus(shared_data):
    dataset = read_word_pos(shared_data / "peoples_daily_199801" / "199801.txt", encoding="gb18030", task="pos")
    seen = {pair for row in dataset for pair in zip(row["tokens"], row["tags"], strict=True)}
    for tag, meaning in load_tagset("pku").items():
        if tag != "x":  # which does not occur
            assert {(example, tag) for example in meaning.examples} <= seen, tag


def test_the_tables_are_installed_with_the_package(tmp_path):
    root = Path(__file__).parents[2]
    code = "import setuptools; setuptools.setup()"
    build = [sys.executable, "-c", code, "-q", "build_py", "--build-lib", str(tmp_path / "lib")]
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (copy / name).write_bytes((root / name).read_bytes())
    (copy / "hf_bilstm").symlink_to(root / "hf_bilstm")
    done = subprocess.run(build, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "lib" / "hf_bilstm" / "tagsets").glob("*.tsv"))) == 7
