"""The web SDK in real Chromium: two tabs, no network for half an hour, the database's schema."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from card_protocol import pay_code
from tests.sdk_mobile.fake_backend import PHONE, Seen
from tests.sdk_mobile_web.browsing import SHELL, WORKER, Tab, serving_page
from tests.sdk_mobile_web.driving import WEB, PageRefused
from tests.sdk_mobile_web.test_page import (
    MERCHANT_CODE,
    START,
    Clock,
    CodesBackend,
    gate,
    library,
    live_keys,
    set_up,
)

pytestmark = pytest.mark.browser
TABS_WAIT_SECONDS = 10.0


@dataclass
class MeetingBackend(CodesBackend):
    """Two tabs are certainly at it at once: the first two requests to `meet_at` wait for one
    another, and the first one to `held_path` arrives, and waits until it is released."""

    meet_at: str = ""
    held_path: str = ""
    meeting: threading.Barrier = field(default_factory=lambda: threading.Barrier(2))
    arrived: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)
    met: int = 0

    def handle(self, seen: Seen) -> Any:
        if seen.path == self.meet_at:
            self.met += 1
            if self.met <= 2:
                self.meeting.wait(TABS_WAIT_SECONDS)
        if seen.path == self.held_path and not self.arrived.is_set():
            self.arrived.set()
            self.released.wait(TABS_WAIT_SECONDS)
        return super().handle(seen)


@pytest.fixture
def backend() -> MeetingBackend:
    return MeetingBackend(clock=Clock())


@pytest.fixture
def url(backend: MeetingBackend) -> Iterator[str]:
    with serving_page(backend) as served:
        yield served


@pytest.fixture
def context(browser: Any) -> Iterator[Any]:
    """A phone whose clock stands at START."""
    made = browser.new_context(viewport={"width": 390, "height": 844})
    made.clock.set_fixed_time(START)
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture
def tab(context: Any, url: str) -> Tab:
    opened = Tab.open(context, url)
    set_up(opened)
    return opened


def test_airplane_mode_for_half_an_hour(
    context: Any, tab: Tab, url: str, backend: MeetingBackend
) -> None:
    """Goal: the page loads and shows codes without a network; each is accepted exactly once."""
    tab.call("refreshRide")
    tab.call("refreshIdentity")
    tab.page.evaluate(
        """async (path) => {
            await navigator.serviceWorker.register(path, { scope: "/" });
            await navigator.serviceWorker.ready;
        }""",
        WORKER,
    )
    context.set_offline(True)
    tab.page.reload()
    tab.wait()
    seen, at_gate, at_desk = len(backend.seen), gate(), library()
    used: set[tuple[int, int]] = set()
    keys = live_keys(backend)
    for seconds in range(START, START + 1_800, 30):
        context.clock.set_fixed_time(seconds)
        _, one_time = pay_code.read(tab.call("payCode")["digits"])
        step = pay_code.match(one_time, keys, seconds)
        assert step not in used
        used.add(step)
        ride = bytes.fromhex(tab.call("ride")["content"])
        at_gate.verify(ride, seconds)
        with pytest.raises(Exception, match="ride_code_used"):
            at_gate.verify(ride, seconds)
        at_desk.verify(tab.call("identity", "library", ["name"])["content"], seconds)
    assert len(used) == 60
    with pytest.raises(PageRefused, match="offline"):
        tab.call("payMerchantCode", MERCHANT_CODE, 100)
    assert len(backend.seen) == seen
    context.set_offline(False)
    assert tab.call("payMerchantCode", MERCHANT_CODE, 100)["state"] == "captured"


def test_the_cache_holds_the_page_and_nothing_of_a_person(tab: Tab) -> None:
    kept = tab.page.evaluate(
        """async (path) => {
            await navigator.serviceWorker.register(path, { scope: "/" });
            await navigator.serviceWorker.ready;
            await run({ call: "balance", given: [] });
            await run({ call: "history", given: [] });
            const names = await caches.keys();
            const cache = await caches.open(names[0]);
            const kept = await cache.keys();
            return { names, paths: kept.map((one) => new URL(one.url).pathname) };
        }""",
        WORKER,
    )
    assert len(kept["names"]) == 1
    modules = {f"/sdk/{path.name}" for path in WEB.glob("*.js")} - {"/sdk/service-worker.js"}
    assert set(kept["paths"]) == modules | set(SHELL)


def test_a_later_release_takes_the_earlier_ones_place(tab: Tab) -> None:
    names = tab.page.evaluate(
        """async (path) => {
            for (const release of ["1", "2"]) {
                const url = path.replace("release=1", `release=${release}`);
                const made = await navigator.serviceWorker.register(url, { scope: "/" });
                const worker = made.installing;
                await new Promise((done) => {
                    worker.onstatechange = () => worker.state === "activated" && done();
                });
            }
            return caches.keys();
        }""",
        WORKER,
    )
    (only,) = names
    assert only.endswith("-2")


def test_a_shell_that_may_not_be_kept_is_not(tab: Tab) -> None:
    """Goal: an API path, another origin, or a private page stops the worker's installation."""
    for shell in ("/v1/me", "https://other.example/x", "/sdk/none.js"):
        refused = tab.page.evaluate(
            """async (path) => {
                try {
                    const made = await navigator.serviceWorker.register(path, { scope: "/x/" });
                    const worker = made.installing;
                    await new Promise((done) => { worker.onstatechange = done; });
                    return worker.state === "redundant";
                } catch (error) {
                    return error instanceof TypeError;
                }
            }""",
            f"/service-worker.js?sdk=/sdk/&shell={shell}",
        )
        assert refused, shell


def test_two_tabs_never_make_two_ride_codes_of_one_second(context: Any, tab: Tab, url: str) -> None:
    tab.call("refreshRide")
    other = Tab.open(context, url)
    at_gate = gate()
    for seconds in range(START, START + 40, 4):
        context.clock.set_fixed_time(seconds)
        for one in (tab, other):
            one.page.evaluate(
                """() => {
                    const show = () => run({ call: "ride", given: [] });
                    globalThis.begun = Promise.all([show(), show()]);
                }"""
            )
        for one in (tab, other):
            for told in one.page.evaluate("() => globalThis.begun"):
                at_gate.verify(bytes.fromhex(told["result"]["content"]), seconds)


def test_two_tabs_that_pay_at_once_pay_once(
    context: Any, tab: Tab, url: str, backend: MeetingBackend
) -> None:
    """Goal: a double click in two tabs is one payment, also when the second asks what became."""
    other = Tab.open(context, url)
    backend.held_path = "/v1/me/payments"
    tab.begin("payMerchantCode", MERCHANT_CODE, 100)
    assert backend.arrived.wait(TABS_WAIT_SECONDS)
    with pytest.raises(PageRefused, match="outcome_unknown"):
        other.call("payMerchantCode", MERCHANT_CODE, 100)
    (resumed,) = other.call("resume")  # overtakes the first tab's request
    backend.released.set()
    assert tab.end() == resumed["result"]
    assert [backend.done[one] for one in backend.done if one.startswith("pay_")] == [1]
    assert backend.balance_fen == 19_900
    assert tab.call("openOperations") == other.call("openOperations") == []


def test_a_tab_closed_in_mid_payment_loses_nothing(
    context: Any, tab: Tab, url: str, backend: MeetingBackend
) -> None:
    """Goal: back button, crash, swipe away: the next tab learns what became of it."""
    backend.held_path = "/v1/me/payments"
    tab.begin("payMerchantCode", MERCHANT_CODE, 100)
    assert backend.arrived.wait(TABS_WAIT_SECONDS)
    tab.page.close()
    backend.released.set()
    later = Tab.open(context, url)
    (stored,) = later.call("openOperations")
    (resumed,) = later.call("resume")
    assert resumed["operationId"] == stored["operationId"]
    assert resumed["result"]["state"] == "captured"
    assert backend.done[stored["operationId"]] == 1
    assert backend.balance_fen == 19_900


def test_two_tabs_that_renew_at_once_keep_the_session(
    context: Any, tab: Tab, url: str, backend: MeetingBackend
) -> None:
    """Goal: a refresh token used by two tabs looks stolen; both must send the same request."""
    other = Tab.open(context, url)
    clock = backend.clock
    assert isinstance(clock, Clock)
    clock.seconds += backend.access_seconds + 1
    context.clock.set_fixed_time(clock.seconds)
    backend.meet_at = "/v1/login/refresh"
    for one in (tab, other):
        one.begin("balance")
    for one in (tab, other):
        assert one.end()["balanceFen"] == 20_000
    assert backend.met == 2
    assert backend.done["refresh"] == 1
    assert not backend.ended


def test_two_tabs_that_open_first_share_one_key(context: Any, url: str) -> None:
    tabs = [Tab(context.new_page()) for _ in range(2)]
    for one in tabs:
        one.page.goto(f"{url}/app/", wait_until="commit")
    for one in tabs:
        one.wait()
    proofs = [one.call("proof", "/x", "j", START).rsplit(".", 1)[0] for one in tabs]
    assert proofs[0] == proofs[1]
    points = [
        one.page.evaluate(
            """async () => {
                const store = await sdk.IndexedDbStore.open();
                return Array.from((await store.read("device_keys")).signing.publicBytes).join();
            }"""
        )
        for one in tabs
    ]
    assert points[0] == points[1]


def test_keys_survive_a_reload_and_cannot_be_taken(tab: Tab) -> None:
    digits = tab.call("payCode")["digits"]
    tab.page.reload()
    tab.wait()
    assert tab.call("payCode")["digits"] == digits
    refused = tab.page.evaluate(
        "() => run({ call: 'exportKey', given: [] }).then(() => '', (error) => error.name)"
    )
    assert refused == "InvalidAccessError"
    held = tab.page.evaluate(
        """async () => {
            const store = await sdk.IndexedDbStore.open();
            const { payCodeKey } = await store.read("card_keys");
            return [payCodeKey instanceof CryptoKey, payCodeKey.extractable];
        }"""
    )
    assert held == [True, False]


def test_the_schema_grows_and_an_older_page_says_so(context: Any, tab: Tab, url: str) -> None:
    """Goal: a later page keeps what an earlier one wrote; the earlier one stops, by name."""
    told = tab.page.evaluate(
        """async () => {
            const { MIGRATIONS } = await import("/sdk/store.js");
            const more = [...MIGRATIONS, (database) => void database.createObjectStore("more")];
            const later = await sdk.IndexedDbStore.open("city-card", more);
            const state = await later.read("state");
            const refusal = async (begin) => {
                try { await begin(); return ""; } catch (error) { return error.code; }
            };
            return {
                phone: state.state.phone,
                older: await refusal(() => sdk.IndexedDbStore.open()),
                open: (await run({ call: "balance", given: [] })).refused.code,
            };
        }"""
    )
    assert told == {"phone": PHONE, "older": "storage_damaged", "open": "storage_failed"}


def test_a_change_that_refuses_writes_nothing(tab: Tab) -> None:
    told = tab.page.evaluate(
        """async () => {
            const store = await sdk.IndexedDbStore.open("other");
            await store.change("n", () => 1);
            const refused = await store.change("n", () => { throw new sdk.NotReady("x", "y"); })
                .then(() => "", (error) => error.code);
            const counts = Array.from({ length: 50 }, () => store.change("n", (n) => n + 1));
            await Promise.all(counts);
            const after = await store.read("n");
            await store.wipe();
            return [refused, after, await store.read("n") ?? null];
        }"""
    )
    assert told == ["x", 51, None]
