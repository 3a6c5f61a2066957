"""Who is logged in: tokens, their renewal, and requests made with them. Knows nothing of money."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sdk_mobile.client import Answer, Client, NoAnswer, Request
from sdk_mobile.clock import SkewedClock
from sdk_mobile.errors import AnswerMalformed, Offline, Refused, SignedOut
from sdk_mobile.ids import new_id, new_idempotency_key
from sdk_mobile.keys import DeviceKeys
from sdk_mobile.proofs import PROOF_AGE_MAX_SECONDS, make_proof
from sdk_mobile.shapes import ShapeError, decode
from sdk_mobile.state import Kind, Operation, Proof, Session, State, StateDocument

ACCESS_RENEWED_BEFORE_SECONDS = 30.0
LOGIN_PATH = "/v1/login/sessions"
REFRESH_PATH = "/v1/login/refresh"
UNAUTHORISED, TOO_MANY = 401, 429
PROOF_INVALID = "proof_invalid"
_WITHOUT_TOKEN = (Kind.LOG_IN, Kind.REFRESH)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The answer of log-in and refresh."""

    access_token: str
    expires_in: int
    refresh_token: str
    session_id: str


class Sessions:
    """Sends requests as the person logged in, and proofs as this phone."""

    def __init__(
        self, document: StateDocument, client: Client, keys: DeviceKeys, clock: SkewedClock
    ) -> None:
        self._document = document
        self._client = client
        self._keys = keys
        self._clock = clock

    def get(self, path: str, *query: tuple[str, str]) -> Mapping[str, object]:
        """Reads. Raises Offline, Refused, SignedOut."""
        return self.ask(Request("GET", path, query=query)).document

    def ask(self, request: Request) -> Answer:
        """A request that may be repeated freely: without an answer we are Offline."""
        try:
            return self.send(request)
        except NoAnswer as error:
            raise Offline(str(error)) from None

    def ask_without_token(self, request: Request) -> Mapping[str, object]:
        """Like `ask`, for who is not logged in yet."""
        try:
            return self._client.send(request).document
        except NoAnswer as error:
            raise Offline(str(error)) from None

    def send(self, request: Request) -> Answer:
        """With the access token, renewed when needed. Raises NoAnswer too."""
        token = self._access_token()
        try:
            return self._client.send(replace(request, access_token=token))
        except Refused as refusal:
            if not _is_token_refused(refusal):
                raise
            was_open = refusal.earlier_attempt_open
        try:
            return self._client.send(replace(request, access_token=self._renew(token)))
        except Refused as refusal:
            refusal.earlier_attempt_open |= was_open
            if _is_token_refused(refusal) and not refusal.earlier_attempt_open:
                raise SignedOut(refusal.detail, refusal.code) from refusal
            raise
        except (Offline, SignedOut) as error:
            if was_open:
                raise NoAnswer(str(error)) from error
            raise

    def send_operation(self, operation: Operation) -> Answer:
        """Sends as its kind asks for. A proof found too old is made anew and stored, once."""
        send = self._client.send if operation.kind in _WITHOUT_TOKEN else self.send
        try:
            return send(request_of(operation))
        except Refused as refusal:
            fresh = self.with_fresh_proof(operation)
            if fresh is None or is_undecided(operation, refusal):
                raise
            self._document.change(lambda state: state.with_operation(fresh))
            return send(request_of(fresh))

    def make_operation(
        self,
        kind: Kind,
        path: str,
        body: Mapping[str, object],
        *,
        operation_id: str | None = None,
        proof_jti: str | None = None,
    ) -> Operation:
        """An operation ready to be stored; with `proof_jti` its body carries a proof."""
        proof = None
        if proof_jti is not None:
            proof = Proof(path, proof_jti, int(self._clock.now_seconds()))
            body = {**body, "proof": self._sign(proof)}
        return Operation(
            operation_id=operation_id or new_id("op"),
            kind=kind,
            path=path,
            body=_text(body),
            idempotency_key=new_idempotency_key(),
            proof=proof,
        )

    def with_fresh_proof(self, operation: Operation) -> Operation | None:
        """The operation with the same ids and a new proof; None when its proof is still good.

        Another body needs another Idempotency-Key: the phone's own id in the body still makes it
        one operation.
        """
        old = operation.proof
        if old is None:
            return None
        now = int(self._clock.now_seconds())
        if abs(now - old.issued_at) <= PROOF_AGE_MAX_SECONDS:
            return None
        proof = replace(old, issued_at=now)
        body = {**json.loads(operation.body), "proof": self._sign(proof)}
        key = new_idempotency_key()
        return replace(operation, body=_text(body), idempotency_key=key, proof=proof)

    def take_tokens(self, state: State, document: Mapping[str, object]) -> State:
        """The state with the session an answer brought. Raises AnswerMalformed."""
        tokens = read(_Tokens, document)
        session = Session(
            session_id=tokens.session_id,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            access_ends_at=self._clock.now_seconds() + tokens.expires_in,
        )
        return replace(state, session=session)

    def _access_token(self) -> str:
        session = self._session()
        left_seconds = session.access_ends_at - self._clock.now_seconds()
        if left_seconds > ACCESS_RENEWED_BEFORE_SECONDS:
            return session.access_token
        return self._renew(session.access_token)

    def _session(self) -> Session:
        session = self._document.read().session
        if session is None:
            raise SignedOut("no session on this phone")
        return session

    def _renew(self, spent: str) -> str:
        """Rotates the tokens. The request is stored first: if the answer is lost, the same
        request (same jti) goes out again, which the backend answers as it did the first time."""
        session = self._session()
        if session.access_token != spent:
            return session.access_token  # another thread or process was here first
        operation = self._stored_refresh(session)
        if operation is None:
            return self._session().access_token  # rotated, or ended, since we looked
        document = self._send_refresh(operation)

        def take(state: State) -> State:
            if state.session != session:
                return state
            return self.take_tokens(state.without_operation(operation), document)

        after = self._document.change(take).session
        if after is None:
            raise SignedOut("the session ended meanwhile", "session_ended")
        return after.access_token

    def _stored_refresh(self, session: Session) -> Operation | None:
        """The request that rotates this session; None when it is another one by now."""

        def store(state: State) -> State:
            if state.session != session or state.find_operation(Kind.REFRESH):
                return state
            body = {"refresh_token": session.refresh_token}
            jti = new_id("prf")
            operation = self.make_operation(Kind.REFRESH, REFRESH_PATH, body, proof_jti=jti)
            return state.with_operation(operation)

        state = self._document.change(store)
        return state.find_operation(Kind.REFRESH) if state.session == session else None

    def _send_refresh(self, operation: Operation) -> Mapping[str, object]:
        try:
            return self.send_operation(operation).document
        except NoAnswer as error:
            raise Offline(str(error)) from None
        except Refused as refusal:
            if refusal.status == TOO_MANY:
                raise
            self._document.change(
                lambda state: replace(state.without_operation(operation), session=None)
            )
            raise SignedOut(refusal.detail, refusal.code) from refusal

    def _sign(self, proof: Proof) -> str:
        return make_proof(
            self._keys, audience=proof.audience, jti=proof.jti, issued_at=proof.issued_at
        )


def is_undecided(operation: Operation, refusal: Refused) -> bool:
    """True when the refusal was said at the door: the operation itself was not judged."""
    if _is_token_refused(refusal):
        return operation.kind not in _WITHOUT_TOKEN
    return refusal.status == TOO_MANY


def _is_token_refused(refusal: Refused) -> bool:
    """A new token helps against this one; against a proof found wanting it does not."""
    return refusal.status == UNAUTHORISED and refusal.code != PROOF_INVALID


def request_of(operation: Operation) -> Request:
    return Request("POST", operation.path, operation.body, operation.idempotency_key)


def read(cls: type[Any], document: Mapping[str, object]) -> Any:
    """`document` as a `cls`. Raises AnswerMalformed."""
    try:
        return decode(cls, document)
    except ShapeError as error:
        raise AnswerMalformed(str(error)) from None


def _text(body: Mapping[str, object]) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))
