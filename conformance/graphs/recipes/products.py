"""Products of matrices and labelled sums."""

from __future__ import annotations

from conformance.graphs.draft import F32, FLOATS, Draft
from conformance.graphs.evaluate import MICROSOFT
from conformance.graphs.recipes.registry import recipe, small


@recipe("MatMul", since=9)
def matmul(draft: Draft, op: str) -> object:
    """Matrices, vectors, and batches of them."""
    left = draft.pick(FLOATS, least=1)
    inner = left.shape[-1]
    shape = draft.rng.choice(((inner, 3), (inner, 1), (inner,), (1, inner, 5)))
    return draft.add(op, [left, draft.fresh(F32, shape)])


@recipe("Gemm", since=11)
def gemm(draft: Draft, op: str) -> object:
    """alpha * a' b' + beta * c."""
    left = draft.pick(FLOATS, 2, 2)
    turn_a, turn_b = draft.rng.randrange(2), draft.rng.randrange(2)
    inner, outer = left.shape[0 if turn_a else 1], left.shape[1 if turn_a else 0]
    right = draft.fresh(F32, (4, inner) if turn_b else (inner, 4))
    bias = draft.rng.choice(((), (4,), (outer, 1), (outer, 4), None))
    given = [left, right, *([draft.fresh(F32, bias)] if bias is not None else [])]
    return draft.add(op, given, transA=turn_a, transB=turn_b, alpha=0.5, beta=1.5)


@recipe("Einsum", since=12)
def einsum(draft: Draft, op: str) -> object:
    """Sums over labels."""
    left = draft.pick(FLOATS, 2, 2)
    inner = left.shape[1]
    equation, shape = draft.rng.choice(
        (
            ("ab,bc->ac", (inner, 3)),
            ("ab,cb->ca", (2, inner)),
            ("ab,b->a", (inner,)),
            ("ab,ab->b", left.shape),
            ("ab,ab->", left.shape),
            ("ab,cd->abcd", (2, 2)),
        )
    )
    return draft.add(op, [left, draft.fresh(F32, shape)], equation=equation)


@recipe("FusedMatMul", domain=MICROSOFT)
def fused_matmul(draft: Draft, op: str) -> object:
    """Matrices that may be turned, and a factor."""
    turn_a, turn_b = draft.rng.randrange(2), draft.rng.randrange(2)
    left = small(draft, *((5, 3) if turn_a else (3, 5)))
    right = small(draft, *((4, 5) if turn_b else (5, 4)))
    return draft.add(op, [left, right], domain=MICROSOFT, transA=turn_a, transB=turn_b, alpha=0.5)


@recipe("FusedGemm", domain=MICROSOFT)
def fused_gemm(draft: Draft, op: str) -> object:
    """With an activation."""
    given = [small(draft, 3, 5), small(draft, 5, 4), small(draft, 4)]
    return draft.add(op, given, domain=MICROSOFT, activation=draft.rng.choice(("Relu", "Tanh")))


@recipe("Det", since=11)
def determinant(draft: Draft, op: str) -> object:
    """Of small matrices."""
    size = draft.rng.randrange(1, 4)
    return draft.add(op, [small(draft, 2, size, size)])
