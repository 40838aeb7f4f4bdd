"""Checks of procedures: registers, windows, calls, loops."""

from __future__ import annotations

from wsc.isa import expr as ex
from wsc.isa.program import If, Loop, Op, Procedure, Region, Statement
from wsc.isa.statements import assigned, blocks, calls, expressions
from wsc.isa.verify.context import Context
from wsc.isa.verify.shape import body_of, scopes


def registers(context: Context) -> None:
    """No register is read before any line sets it, and a window holds all of a procedure."""
    limit = context.fabric.window
    for scope, names in scopes(context):
        if len(names) > limit:
            message = f"'{scope.name}' uses {len(names)} registers, and a window has {limit}"
            context.say(message, scope)
        parameters = scope.parameters if isinstance(scope, Procedure) else ()
        _flow(context, body_of(scope), names, set(parameters))


def _flow(
    context: Context, body: tuple[Statement, ...], names: frozenset[str], known: set[str]
) -> None:
    """Follow the text; what a branch or a loop may set counts as set behind it."""
    for statement in body:
        for node in expressions(statement):
            for name in ex.names(node):
                if name in names and name not in known:
                    context.say(f"register '{name}' is read before it is set", statement, name)
                    known.add(name)
        if isinstance(statement, Op) and statement.register is not None:
            known.add(statement.register)
        elif isinstance(statement, Loop):
            known.add(statement.register)
            _flow(context, statement.body, names, known)
        elif isinstance(statement, If):
            other = set(known)
            _flow(context, statement.then, names, known)
            _flow(context, statement.otherwise, names, other)
            known |= other


def loops(context: Context) -> None:
    """Hardware loops nest no deeper than the fabric allows."""
    limit = context.fabric.loop_depth

    def walk(body: tuple[Statement, ...], depth: int) -> None:
        for statement in body:
            deeper = isinstance(statement, Loop)
            if deeper and depth == limit:
                name = context.fabric.name
                message = f"loops nest {depth + 1} deep, and fabric '{name}' has {limit}"
                context.say(message, statement)
            for block in blocks(statement):
                walk(block, depth + deeper)

    for scope, _ in scopes(context):
        walk(body_of(scope), 0)


def call_tree(context: Context) -> None:
    """No procedure calls itself; calls nest within the limits, their windows within the file."""
    sizes = {scope.name: len(names) for scope, names in scopes(context) if _called(scope)}
    depth: dict[str, int] = {}
    words: dict[str, int] = {}

    for root in context.bodies:
        # Depth first, without recursion: a text may have a chain of any length.
        path = {} if root in depth else {root: iter(calls(context.bodies[root]))}
        while path:
            name = next(reversed(path))
            call = next(path[name], None)
            if call is None:
                del path[name]
                callees = [c.procedure for c in calls(context.bodies[name]) if c.procedure in depth]
                depth[name] = 1 + max((depth[callee] for callee in callees), default=0)
                words[name] = sizes[name] + max((words[callee] for callee in callees), default=0)
            elif call.procedure in path:
                start = list(path).index(call.procedure)
                circle = " -> ".join([*list(path)[start:], call.procedure])
                context.say(f"a procedure may not call itself: {circle}", call, call.procedure)
            elif call.procedure not in depth:
                path[call.procedure] = iter(calls(context.bodies[call.procedure]))
    fabric = context.fabric
    for region in context.program.regions:
        own = len(assigned(region.main))
        for call in calls(region.main):
            if depth[call.procedure] > fabric.call_depth:
                message = f"calls nest {depth[call.procedure]} deep, and fabric '{fabric.name}'"
                context.say(f"{message} has {fabric.call_depth}", call, call.procedure)
            if own + words[call.procedure] > fabric.registers:
                message = f"the windows of this call take {own + words[call.procedure]} registers"
                context.say(f"{message}, and a tile has {fabric.registers}", call, call.procedure)


def _called(scope: Procedure | Region) -> bool:
    return isinstance(scope, Procedure)
