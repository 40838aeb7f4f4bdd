"""The values engine: executes a program for its outputs, without a clock.

Values never depend on time, because the machine is a Kahn network: each stream has one
producer, and no instruction asks whether a queue is empty. So threads run as far as their data
go, in any order, and queues have no limit. ``docs/adr/0015-values-apart-from-time.md`` tells
how, and ``runtime/README.md`` goes through these rooms with an instruction.

| room | what is in it |
|---|---|
| ``compiled`` | what kernels are made of: the machine that they take, and what declares them |
| ``records`` | the state: named records and tables |
| ``build`` | the state of a fresh run |
| ``streams`` | storage of wavelets, and who may read how far |
| ``edge`` | feeds, drains and lookups |
| ``routers`` | colors whose routes change: runs of wavelets between control wavelets |
| ``vector``, ``multiply`` | one instruction for many rows of tiles at once |
| ``remote`` | words that are written into another tile |
| ``tasks`` | instructions that wait for wavelets |
| ``control`` | threads: scalar instructions, loops, calls, waits |
| ``sweep`` | who comes next |
| ``report`` | faults, and who waits for whom |
| ``engine`` | a run from beginning to end |
"""
