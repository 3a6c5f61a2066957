"""All parts are joined here and only here: two networks (两网) over the same services."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from flask import Flask
from flask_smorest import Blueprint

from backend import (
    identity,
    merchants,
    payments,
    portal,
    staff,
    terms,
    transit,
    virtual_card,
    wallet,
)
from backend.cards import PURSE_CHANGED, PurseMacs, Purses, PurseStandings
from backend.cards import api as cards_api
from backend.config import Config
from backend.db import Databases, OutboxWorker, Units, open_databases
from backend.db.migrate import upgrade
from backend.db.outbox import Consumer
from backend.identity import api as identity_api
from backend.kernel import Clock, SystemClock
from backend.keys import KeyRef, NamedKeys
from backend.merchants import api as merchants_api
from backend.opening import VarDamaged, is_bare, open_keystore
from backend.payments import api as payments_api
from backend.payments.moves import HOLD_EXPIRES
from backend.payments.offline import api as offline_api
from backend.payments.offline.schemas import read_item
from backend.payments.purses import api as purses_api
from backend.payments.purses import desk_api as purses_desk_api
from backend.portal import api as portal_api
from backend.staff import api as staff_api
from backend.transit import api as transit_api
from backend.virtual_card import api as virtual_card_api
from backend.virtual_card import codes as card_codes
from backend.virtual_card.codes import api as codes_api
from backend.wallet import api as wallet_api
from backend.wallet import life
from backend.wallet.bank import SandboxBank
from backend.wallet.bank.payouts import CustodyView, SandboxPayouts
from backend.wallet.ledger.sealing import Sealer
from backend.wallet.life import api as life_api
from backend.wallet.matching import Matching
from backend.wallet.statements import Issuer, WalletStatements
from backend.wallet.statements import api as statements_api
from backend.wallet.topups import AutoTopUps, Batches, Counters, TopUps
from backend.wallet.topups import api as topups_api
from backend.wallet.topups.automatic import DUE as AUTOMATIC_TOPUP_DUE
from backend.wallet.topups.batches import APPROVED as BATCH_APPROVED
from backend.wallet.topups.service import REQUESTED as TOPUP_REQUESTED
from backend.web.access import Authenticator
from backend.web.application import BearerAuthenticator, Network, make_app
from backend.web.tokens import AccessTokens
from card_protocol.deny_list import DenyKind

TITLES = {"public": "公共网络 public network", "internal": "内部网络 internal network"}


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything one process needs, made once."""

    config: Config
    clock: Clock
    keys: NamedKeys = field(repr=False)
    databases: Databases
    units: Units
    tokens: AccessTokens
    bank: SandboxBank
    sms: identity.SandboxSms
    people: identity.Identity
    logins: identity.Logins
    staff_accounts: staff.Staff
    wallets: wallet.Wallets
    wallet_statements: WalletStatements
    issuer: Issuer
    topups: TopUps
    redemptions: life.Redemptions
    freezes: life.Freezes
    debts: life.RideDebts
    cases: life.Cases
    corrections: life.Corrections
    payout_matches: life.PayoutMatches
    automatic: AutoTopUps
    counters: Counters
    batches: Batches
    matching: Matching
    proof: wallet.Proof
    sealer: Sealer
    shops: merchants.Merchants
    activations: merchants.Activations
    terminal_logins: merchants.Logins
    terminal_profiles: merchants.TerminalProfiles
    merchant_codes: merchants.MerchantCodes
    devices: virtual_card.Devices
    cards: virtual_card.Cards
    codes: card_codes.Codes
    deny_lists: transit.DenyLists
    sales: payments.Payments
    statements: payments.Statements
    purses: Purses
    offline_sales: payments.OfflineSales
    oddities: payments.Oddities
    foreign_sales: payments.ForeignSales
    loads: payments.Loads
    purse_books: payments.PurseBooks
    purse_cases: payments.PurseCases
    purse_losses: payments.PurseLosses
    sams: payments.Sams
    stuck_loads: payments.StuckLoads
    worker: OutboxWorker
    pages: portal.Portal

    def services(self) -> list[object]:
        """What resources may ask for by type."""
        names = [name for name in self.__slots__ if name not in ("config", "keys", "clock")]
        return [getattr(self, name) for name in names]


def open_parts(config: Config, *, make: bool = False, clock: Clock | None = None) -> Parts:
    """Open keys and databases and join the parts. With `make`, a bare var/ is filled first.

    Raises ConfigInvalid, VarDamaged, KeystoreDamaged, DatabaseDamaged.
    """
    terms.check(config, JUDGES)
    clock = clock or SystemClock()
    bare = is_bare(config)
    if bare and not make:
        raise VarDamaged(f"{config.var} holds nothing yet: run `python -m backend migrate` first")
    databases = open_databases(config.database_urls)
    config.var.mkdir(parents=True, exist_ok=True)
    try:
        databases.check(missing_ok=bare)  # first: nothing is written to a damaged one
        keys = open_keystore(config, databases, clock, make=bare)
        if make:
            upgrade(databases)
    except BaseException:
        databases.close()
        raise
    return _join(config, clock, keys, databases)


def create_public_app(parts: Parts) -> Flask:
    """The public network: citizens, merchants, terminals, the bank's notices, the pages."""
    blueprints = (
        identity_api.blueprint,
        wallet_api.blueprint,
        topups_api.blueprint,
        statements_api.blueprint,
        life_api.blueprint,
        virtual_card_api.blueprint,
        codes_api.blueprint,
        merchants_api.blueprint,
        transit_api.blueprint,
        payments_api.blueprint,
        offline_api.blueprint,
        purses_api.blueprint,
        cards_api.blueprint,
    )
    app = _make(parts, "public", blueprints, BearerAuthenticator(parts.tokens))
    app.register_blueprint(portal_api.blueprint)
    return app


def create_internal_app(parts: Parts) -> Flask:
    """The internal network: staff only."""
    cookie = _cookie(parts)
    blueprints = (
        staff_api.internal_blueprint,
        wallet_api.internal_blueprint,
        life_api.internal_blueprint,
        topups_api.internal_blueprint,
        merchants_api.internal_blueprint,
        transit_api.internal_blueprint,
        codes_api.internal_blueprint,
        identity_api.internal_blueprint,
        virtual_card_api.internal_blueprint,
        cards_api.internal_blueprint,
        offline_api.internal_blueprint,
        purses_api.internal_blueprint,
        purses_desk_api.internal_blueprint,
    )
    authenticator = staff.StaffAuthenticator(parts.staff_accounts, cookie)
    app = _make(parts, "internal", blueprints, authenticator, cookie)
    app.register_blueprint(portal_api.internal_blueprint)
    return app


def _make(
    parts: Parts,
    name: str,
    blueprints: Iterable[Blueprint],
    authenticator: Authenticator,
    *more: object,
) -> Flask:
    city = parts.config.city["city"]["name"]
    network = Network(
        name=name,
        title=f"{city['zh']}市民卡 · {TITLES[name]}",
        blueprints=blueprints,
        authenticator=authenticator,
        keys=parts.keys,
        databases=parts.databases,
        services=(*parts.services(), *more),
        requests_per_minute=parts.config.city["rates"]["requests_per_minute"],
    )
    return make_app(network)


def _cookie(parts: Parts) -> staff.StaffCookie:
    return staff.StaffCookie(secure=bool(parts.config.city.get("internal_https", False)))


def _join(config: Config, clock: Clock, keys: NamedKeys, databases: Databases) -> Parts:
    woken = threading.Event()
    units = Units(databases, clock, wake=woken.set)
    tokens = AccessTokens(keys, clock, config.city["login"]["access_token_seconds"])
    sandbox = config.city["sandbox"]
    bank = SandboxBank(
        config.var / "sandbox_bank.db",
        clock,
        partial(keys.mac, KeyRef.BANK_NOTICES),
        sandbox["bank_delay_seconds"],
    )
    people = identity.Identity(units, keys)
    sms = identity.SandboxSms(config.var / "sandbox_sms.db", clock)
    ledger = wallet.Ledger(config.limits(), wallet.HOT_IDS)
    wallets = wallet.Wallets(units, ledger, _registered(people))
    shops = merchants.Merchants(units, keys)
    codes = merchants.MerchantCodes(units, keys, config.city["city"]["name"]["en"][:15])
    amounts = terms.amounts(config.city["topups"])
    topups = TopUps(units, ledger, keys, bank, amounts)
    automatic = AutoTopUps(units, ledger, keys, bank, amounts)
    batches = Batches(units, ledger, amounts)
    watch = virtual_card.TapWatch(units)
    phone_cards = virtual_card.Cards(
        units,
        keys,
        terms.issuer(config),
        _registered(people),
        wallets.is_owner,
        figures=terms.provisioning(config),
        holders=people,
        watch=watch,
    )
    brand = terms.words(config.city["brand"]["card_name"])
    messages = virtual_card.CardMessages(units, keys, sms, people, brand)
    sales = payments.Payments(
        units,
        ledger,
        virtual_card.TapVerifier(units, keys, watch),
        shops,
        codes,
        wallets,
        terms.amounts(config.city["payments"]),
        automatic=automatic,
    )
    shown_codes = card_codes.open_codes(
        units, keys, people, shops.get_merchant, terms.ride_codes(config)
    )
    purses, macs = Purses(units), PurseMacs(keys)
    past = virtual_card.PastProofs(units, keys, shown_codes.rides, watch)
    judge, kept_for = payments.Judge(past, purses, macs), terms.offline(config)
    agents = terms.loading_agents(config)
    sender = identity.LoginCodeSender(units, keys, sms, brand)
    payouts = SandboxPayouts(bank.book, clock, bank.delay_seconds)
    custody = CustodyView(bank.book, clock, bank.mac, bank.delay_seconds, payouts=payouts)
    orders, debts = life.Orders(ledger, keys), life.RideDebts(units, ledger)
    redemptions = life.Redemptions(
        units, ledger, orders, debts, payouts, config.redemption(), people.get_name
    )
    consumers = _consumers(topups, automatic, batches, sales, sender)
    known, stopped = virtual_card.TokenStandings(), PurseStandings()
    deny_lists = transit.DenyLists(units, keys, {DenyKind.TOKEN: known, DenyKind.PURSE: stopped})
    told = {
        **phone_cards.consumers(),
        virtual_card.TOKEN_CHANGED: deny_lists.hear_token,
        PURSE_CHANGED: deny_lists.hear_purse,
        virtual_card.STEP_UP_REQUESTED: messages.deliver_code,
        virtual_card.CARD_NOTICE: messages.deliver_notice,
        life.REQUESTED: redemptions.instruct,
    }
    worker = OutboxWorker(units, {**consumers, **told}, woken)
    proof = wallet.Proof(units, ledger, custody)
    return Parts(
        config=config,
        clock=clock,
        keys=keys,
        databases=databases,
        units=units,
        tokens=tokens,
        bank=bank,
        sms=sms,
        people=people,
        logins=identity.Logins(units, keys, tokens),
        staff_accounts=staff.Staff(units, keys),
        wallets=wallets,
        wallet_statements=WalletStatements(units),
        issuer=terms.statement_issuer(config),
        topups=topups,
        redemptions=redemptions,
        freezes=life.Freezes(units, ledger),
        debts=debts,
        cases=life.Cases(units, ledger, orders),
        corrections=life.Corrections(units, ledger),
        payout_matches=life.PayoutMatches(units, ledger, payouts),
        automatic=automatic,
        counters=Counters(units, ledger, terms.counters(config), amounts),
        batches=batches,
        matching=Matching(units, ledger, bank),
        proof=proof,
        sealer=Sealer(units, keys),
        shops=shops,
        activations=merchants.Activations(units, keys),
        terminal_logins=merchants.Logins(units, tokens),
        terminal_profiles=merchants.TerminalProfiles(
            shops,
            keys,
            terms.acceptance(config),
            ride_codes=lambda: terms.ride_authorities(shown_codes.rides.gate_keys()),
            deny_list_version=deny_lists.version,
        ),
        merchant_codes=codes,
        devices=virtual_card.Devices(units, _gate(config, keys)),
        cards=phone_cards,
        codes=shown_codes,
        deny_lists=deny_lists,
        sales=sales,
        statements=payments.Statements(units),
        purses=purses,
        offline_sales=payments.OfflineSales(units, ledger, shops, judge, kept_for),
        foreign_sales=payments.ForeignSales(units, ledger, shops, judge, read_item, kept_for),
        oddities=payments.Oddities(units),
        loads=payments.Loads(units, ledger, shops, purses, macs, sales.verify, agents, amounts),
        purse_books=payments.PurseBooks(units, ledger, purses),
        purse_cases=payments.PurseCases(units, ledger, purses),
        purse_losses=payments.PurseLosses(units, ledger, shops, purses),
        sams=payments.Sams(units, shops),
        stuck_loads=payments.StuckLoads(units, ledger, purses, kept_for.age_max),
        worker=worker,
        pages=portal.Portal(
            city=config.city,
            story_path=config.story_path,
            public_url=config.public_url,
            internal_url=config.internal_url,
            units=units,
            worker=worker,
            proof=proof,
        ),
    )


def _sandbox_judge(config: Config) -> virtual_card.Attestation:
    """Trusts the sandbox's vendor. Its private key is for phones; here the public half is kept."""
    try:
        vendor = virtual_card.open_vendor(config.vendor_key_path)
    except virtual_card.VendorKeyDamaged as error:
        raise VarDamaged(str(error)) from None
    return virtual_card.SandboxAttester(vendor.key.public_key())


JUDGES: Mapping[str, Callable[[Config], virtual_card.Attestation]] = {"sandbox": _sandbox_judge}
"""What `[attestation] judge` may name."""


def _gate(config: Config, keys: NamedKeys) -> virtual_card.AttestationGate:
    wanted = terms.attestation(config, JUDGES)
    return virtual_card.AttestationGate(keys, JUDGES[wanted.judge](config), wanted.is_required)


def _consumers(
    topups: TopUps,
    automatic: AutoTopUps,
    batches: Batches,
    sales: payments.Payments,
    sender: identity.LoginCodeSender,
) -> Mapping[str, Consumer]:
    """Who hears what the outbox tells."""
    return {
        TOPUP_REQUESTED: topups.instruct,
        AUTOMATIC_TOPUP_DUE: automatic.ask,
        BATCH_APPROVED: batches.post,
        HOLD_EXPIRES: sales.expire_hold,
        identity.LOGIN_CODE_REQUESTED: sender.deliver,
        **payments.alarms(),
    }


def _registered(people: identity.Identity) -> Callable[[str], bool]:
    return lambda person_id: people.get_person(person_id).registered
