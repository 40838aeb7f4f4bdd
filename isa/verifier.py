"""What a well-formed program is: the checks, in the order in which they build on each other."""

from __future__ import annotations

from wsc.isa.diagnostics import MOST, AssemblyError, Diagnostic, Source
from wsc.isa.fabric import Fabric
from wsc.isa.names import check_names
from wsc.isa.program import Program
from wsc.isa.verify import (
    coverage,
    declared,
    elements,
    queues,
    routes,
    sections,
    shape,
    streams,
    tiles,
    transfers,
    updates,
    waits,
    windows,
)
from wsc.isa.verify.context import Context

# First what stands in the text alone: later checks rely on it.
DECLARED = (
    declared.rectangle,  # the tiles exist
    declared.cells,  # and their routes are few enough to look at
    declared.regions,  # each tile has one program
    declared.colors,  # each stream has a channel
    declared.files,  # what holds weights is known by its contents
    declared.tensors,  # data has a place
    declared.overlaps,  # of its own, or shared on purpose
    transfers.cuts,  # each output has a size
    transfers.high_words,  # and each integer of two words both
    updates.updates,  # what training changes is in the store, and its gradient comes
    shape.instructions,  # each instruction can be encoded
    windows.registers,  # each register has a value
    windows.loops,  # hardware loops nest as deep as the hardware
    windows.call_tree,  # calls end, and their windows fit
    sections.sections,  # code that comes has room, and is known to the edge
    declared.memory,  # data and code fit into SRAM together
)


def verify(program: Program, fabric: Fabric, text: str | None = None) -> None:
    """Check a program against the machine it is for.

    text: the source that it was parsed from, for carets; without it the files that its
    locations name are read, and objects without a location are shown as printed.

    Raises:
        AssemblyError: with up to ``MOST`` problems.
    """
    source = Source(text)
    _stop(check_names(program, source, {}))
    context = Context(program, fabric, source)
    for check in DECLARED:
        check(context)
    _stop(context.found)
    network = routes.build(context)  # the routes of every tile; one each for a color
    routes.ends(context, network)  # they lead somewhere, and something feeds them
    routes.queues(context, network)  # the ramp has a queue for each color that uses it
    transfers.transfers(context, network)  # the edge meets routes, and stays within its tensors
    code = tiles.sites(context)  # what each tile runs
    tiles.code(context, network, code)  # addresses lie in SRAM, colors are connected
    elements.types(context, code)  # what is put into them is taken as what it is
    queues.shared(context)  # and the ends of their queues have one user at a time
    routes.circles(context, network)  # no stream bites its own tail
    waits.through_cores(context, network, code)  # nor do streams that cores pass on
    _stop(context.found)
    declared.mains(context)  # cores that are waited for have code
    coverage.outputs(context)  # each element of an output is drained once
    coverage.order(context)  # and what is kept before it is fed
    _stop(context.found)
    streams.counts(context, network)  # nobody waits for a wavelet that never comes
    _stop(context.found)


def doubts(program: Program, fabric: Fabric, text: str | None = None) -> list[Diagnostic]:
    """What a program that was verified does, and what its author most likely did not mean.

    text: as for ``verify``.
    """
    context = Context(program, fabric, Source(text))
    coverage.inputs(context)
    return context.found


def _stop(found: list[Diagnostic]) -> None:
    if found:
        raise AssemblyError(found[:MOST])
