"""Windows, spectra and counts of n-grams."""

from __future__ import annotations

import numpy as np

from conformance.graphs.draft import Draft
from conformance.graphs.recipes.registry import recipe, small


@recipe("HannWindow", "HammingWindow", "BlackmanWindow", since=17)
def window(draft: Draft, op: str) -> object:
    """A sum of cosines; no node reads it, as its zeros are what rounding leaves."""
    length = draft.given(np.array(draft.rng.randrange(2, 12), np.int64))
    return draft.add(op, [length], periodic=draft.rng.randrange(2), ends=True)


@recipe("DFT", since=17)
def spectrum(draft: Draft, op: str) -> object:
    """Of real or of complex numbers."""
    parts, inverse = draft.rng.choice(((1, 0), (2, 0), (2, 1)))
    value = small(draft, 2, draft.rng.choice((4, 5, 8)), parts)
    if draft.opset < 20:
        return draft.add(op, [value], axis=1, inverse=inverse)
    axis = draft.given(np.array(1, np.int64))
    return draft.add(op, [value, None, axis], inverse=inverse)


@recipe("STFT", since=17)
def spectra(draft: Draft, op: str) -> object:
    """Of windows over a signal."""
    step = draft.given(np.array(draft.rng.choice((2, 4)), np.int64))
    length = draft.given(np.array(8, np.int64))
    signal = small(draft, 1, 16, 1)
    return draft.add(op, [signal, step, small(draft, 8), length], onesided=1)


@recipe("MelWeightMatrix", since=17)
def mel(draft: Draft, op: str) -> object:
    """Weights of bands of pitches."""
    sizes = [draft.given(np.array(n, np.int64)) for n in (8, 16, 8192)]
    edges = [draft.given(np.array(x, np.float32)) for x in (0.0, 4096.0)]
    return draft.add(op, [*sizes, *edges])


@recipe("TfIdfVectorizer", since=9)
def n_grams(draft: Draft, op: str) -> object:
    """Counts of neighbours."""
    draws = np.random.default_rng(draft.rng.getrandbits(63))
    numbers = draft.given(draws.integers(1, 9, (2, 10)), None)
    return draft.add(
        op,
        [numbers],
        mode=draft.rng.choice(("TF", "IDF", "TFIDF")),
        min_gram_length=1,
        max_gram_length=2,
        max_skip_count=draft.rng.randrange(2),
        pool_int64s=[2, 3, 5, 4, 5, 6, 7, 8],
        ngram_counts=[0, 4],
        ngram_indexes=[0, 1, 2, 3, 4, 5],
        weights=[0.5, 1.0, 2.0, 3.0, 4.0, 5.0],
    )
