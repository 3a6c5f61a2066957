"""Operations: stored before they are sent, forgotten only when answered. Knows no kind's meaning.

What an answer changes is handed in, one function a kind, so that `resume` after a restart does
exactly what the first call would have done.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sdk_mobile.client import NoAnswer
from sdk_mobile.errors import (
    AnswerMalformed,
    KeysUnreadable,
    Offline,
    OutcomeUnknown,
    Refused,
    SdkError,
    SignedOut,
)
from sdk_mobile.session import Sessions, is_undecided
from sdk_mobile.state import Kind, Operation, State, StateDocument

Document = Mapping[str, object]
Taken = tuple[State, object]
Take = Callable[[State, Operation, Document], Taken]
Make = Callable[[State], Operation]
IsMeant = Callable[[Operation], bool]

MONEY = frozenset((Kind.TOP_UP, Kind.PAY))


@dataclass(frozen=True, slots=True)
class Resumed:
    """What became of one stored operation: a result, or why not (`refusal`)."""

    operation_id: str
    kind: str
    result: object | None = None
    refusal: SdkError | None = None


class Operations:
    """Runs operations against the backend; at most one of a kind is open."""

    def __init__(
        self,
        document: StateDocument,
        sessions: Sessions,
        takes: Mapping[Kind, Take],
        is_stale: IsMeant = lambda operation: False,
    ) -> None:
        """`is_stale`: an operation that is better made anew than sent again."""
        self._document = document
        self._sessions = sessions
        self._takes = takes
        self._is_stale = is_stale

    def perform(self, kind: Kind, make: Make, is_meant: IsMeant = lambda operation: True) -> object:
        """Makes, stores, sends, takes the answer. An open one of the same kind is sent again,
        unless it moves money: then OutcomeUnknown, for only the holder knows if a second is meant.
        An open one that is not meant any more gives its place to the new one.

        Raises Refused, Offline and SignedOut (nothing was done), OutcomeUnknown (stored).
        """
        chosen: list[Operation] = []

        def store(state: State) -> State:
            open_one = state.find_operation(kind)
            if open_one is not None and kind in MONEY:
                raise OutcomeUnknown(open_one.operation_id, kind)
            is_good = open_one is not None and not self._is_stale(open_one)
            if open_one is not None and is_good and is_meant(open_one):
                operation = replace(open_one, is_resumed=True)
            else:
                operation = make(state)
            chosen.append(operation)
            return state.with_operation(operation)

        self._document.change(store)
        return self._send(chosen[0])

    def resume(self) -> tuple[Resumed, ...]:
        """Sends every stored operation again, oldest first, with the same bytes.

        Stops at the first that gets no answer; that one and the later ones stay stored.
        """
        outcomes: list[Resumed] = []
        for operation in self._document.read().operations:
            if operation.kind == Kind.REFRESH:
                continue  # goes out with the next request that needs a token
            if self._is_stale(operation):
                self._drop(operation)
                continue
            try:
                result = self._send(self._mark_resumed(operation))
            except OutcomeUnknown:
                break
            except _AnsweredMeanwhile:
                continue
            except SignedOut:
                if not outcomes:
                    raise
                break
            except (Refused, AnswerMalformed, KeysUnreadable) as error:
                outcomes.append(Resumed(operation.operation_id, operation.kind, refusal=error))
            else:
                outcomes.append(Resumed(operation.operation_id, operation.kind, result=result))
        return tuple(outcomes)

    def open_operations(self) -> tuple[Operation, ...]:
        """What is stored and not answered, oldest first."""
        operations = self._document.read().operations
        return tuple(one for one in operations if one.kind != Kind.REFRESH)

    def _drop(self, operation: Operation) -> None:
        self._document.change(lambda state: state.without_operation(operation))

    def _mark_resumed(self, operation: Operation) -> Operation:
        marked: list[Operation] = []

        def mark(state: State) -> State:
            current = state.find_operation(Kind(operation.kind))
            if current is None or current.operation_id != operation.operation_id:
                raise _AnsweredMeanwhile
            marked.append(replace(current, is_resumed=True))
            return state.with_operation(marked[0])

        self._document.change(mark)
        return marked[0]

    def _send(self, operation: Operation) -> object:
        try:
            answer = self._sessions.send_operation(operation)
        except NoAnswer as error:
            raise OutcomeUnknown(operation.operation_id, operation.kind) from error
        except Refused as refusal:
            if not is_undecided(operation, refusal):
                self._drop(operation)
            elif refusal.earlier_attempt_open or not self._forget_unsent(operation):
                raise OutcomeUnknown(operation.operation_id, operation.kind) from refusal
            raise
        except Offline as error:
            if not self._forget_unsent(operation):
                raise OutcomeUnknown(operation.operation_id, operation.kind) from error
            raise
        except SignedOut:
            self._forget_unsent(operation)
            raise
        return self._take(operation, answer.document)

    def _take(self, operation: Operation, document: Document) -> object:
        """The answer's effect and the end of the operation are one write."""
        results: list[object] = []

        def take(state: State) -> State:
            after, result = self._takes[Kind(operation.kind)](state, operation, document)
            results.append(result)
            return after.without_operation(operation)

        self._document.change(take)
        return results[0]

    def _forget_unsent(self, operation: Operation) -> bool:
        """Drops an operation no attempt of which was judged; False when it must stay."""

        def forget(state: State) -> State:
            return state if state.holds_resumed(operation) else state.without_operation(operation)

        after = self._document.change(forget)
        return not after.holds_resumed(operation)


class _AnsweredMeanwhile(Exception):
    """Another thread or process took the answer while we were about to ask again."""
