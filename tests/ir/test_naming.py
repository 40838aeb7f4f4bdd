"""Short names of values: unique, ends of the full ones, and found again by these."""

from __future__ import annotations

import pytest

from wsc.ir.naming import buffer_stems, fresh_name, is_named_for, weight_names

LAYERS = [
    f"/model/encoder/layer.{layer}/{name}"
    for layer in range(3)
    for name in (
        "query/MatMul",
        "key/MatMul",
        "query/Add",
        "self/Softmax.max",
        "norm/Add",
        "output/norm/Add",
        "act/Mul_1",
    )
]


def test_the_shortest_end_that_is_no_other_values() -> None:
    stems = buffer_stems(["/a/query/MatMul", "/a/key/MatMul", "/a/key/Add", "/Relu", "/b/Relu"])
    assert [*stems.values()] == ["v_query_MatMul", "v_key_MatMul", "v_Add", "v_Relu", "v_b_Relu"]


def test_layers_end_alike_and_have_their_numbers_before() -> None:
    stems = buffer_stems(LAYERS)
    assert stems["/model/encoder/layer.0/query/MatMul"] == "v_layer_0_query_MatMul"
    assert stems["/model/encoder/layer.2/output/norm/Add"] == "v_layer_2_output_norm_Add"


def test_the_first_turn_of_a_loop_has_no_numbers() -> None:
    stems = buffer_stems(LAYERS, first=[name for name in LAYERS if "layer.0" in name])
    assert stems["/model/encoder/layer.0/query/MatMul"] == "v_query_MatMul"
    assert stems["/model/encoder/layer.0/act/Mul_1"] == "v_Mul_1"
    assert stems["/model/encoder/layer.1/act/Mul_1"] == "v_layer_1_Mul_1"


def test_what_is_behind_a_dot_keeps_what_it_is_of() -> None:
    stems = buffer_stems(["/a/Softmax.max", "h.0.query.bias", "Conv.0", "LSTM.bias0~1"])
    assert [*stems.values()] == ["v_Softmax_max", "v_query_bias", "v_Conv_0", "v_LSTM_bias0_1"]


@pytest.mark.parametrize(
    "names",
    [
        LAYERS,
        ["a/b", "a.b", "a:b", "a_b", "a/b_2", "a_b_2"],
        ["", "/", "é", "x", "0", "/0/1", "/1/1", "1/1/0"],
        ["Relu", "Relu_2", "Relu_2_2", "x/Relu"],
        ["/0/Relu", "/2/Relu", "/0/0/Relu", "/0/1/Relu"],
        [*LAYERS, *(f"{name}.gradient" for name in LAYERS)],
    ],
)
def test_all_names_are_different_and_found_again(names: list[str]) -> None:
    for first in ([], names[: len(names) // 3], names):
        stems = buffer_stems(names, first)
        assert len(set(stems.values())) == len(names)
        assert {stem.replace("_", "a").isalnum() and stem.isascii() for stem in stems.values()} == {
            True
        }
    # But for those whose words are another's, which have a number behind them.
    plain = [name for name in names if names is LAYERS]
    stems = buffer_stems(names)
    assert all(is_named_for(stems[name], name) for name in plain)


def test_other_values_do_not_change_a_name() -> None:
    before, after = buffer_stems(LAYERS), buffer_stems([*LAYERS, "/model/head/Gemm", "/model/Tanh"])
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    "name", ["query_MatMul", "v_query_MatMul_part", "v_MatMul_2", "v_x_MatMul"]
)
def test_a_buffer_of_something_else_is_not_found(name: str) -> None:
    assert not is_named_for(name, "/layer.0/query/MatMul")


def test_a_fresh_name_keeps_the_last_part_of_another() -> None:
    assert fresh_name("/a/out.at4", "/a/b/k_1", ()) == "/a/out.at4.k_1"
    assert fresh_name("/a", "whole", ["/a.whole"]) == "/a.whole'"


def test_weights_of_layers_go_on_evenly_and_an_empty_name_stays() -> None:
    names = [f"m.h.{n}.{k}.bias" for n in range(2) for k in ("q", "norm.q")]
    assert weight_names([*names, "日本"]) == {
        "m.h.0.q.bias": "h.0.q.bias",
        "m.h.0.norm.q.bias": "h.0.norm.q.bias",
        "m.h.1.q.bias": "h.1.q.bias",
        "m.h.1.norm.q.bias": "h.1.norm.q.bias",
        "日本": "日本",
    }
