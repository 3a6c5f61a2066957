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
    virtual_card,
    wallet,
)
from backend.config import Config
from backend.db import Databases, OutboxWorker, Units, Which, open_databases
from backend.db.migrate import upgrade
from backend.db.outbox import Consumer
from backend.identity import api as identity_api
from backend.kernel import Clock, SystemClock
from backend.keys import KeyRef, NamedKeys
from backend.keys.opening import open_keys
from backend.keys.process import keep_memory_private
from backend.merchants import api as merchants_api
from backend.payments import api as payments_api
from backend.payments.moves import HOLD_EXPIRES
from backend.portal import api as portal_api
from backend.staff import api as staff_api
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

TITLES = {"public": "公共网络 public network", "internal": "内部网络 internal network"}


class VarDamaged(Exception):
    """Part of what must lie together under var/ is missing: refuse to start, touch nothing."""


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
    sales: payments.Payments
    statements: payments.Statements
    worker: OutboxWorker
    pages: portal.Portal

    def services(self) -> list[object]:
        """What resources may ask for by type."""
        names = [name for name in self.__slots__ if name not in ("config", "keys", "clock")]
        return [getattr(self, name) for name in names]


def open_parts(config: Config, *, make: bool = False, clock: Clock | None = None) -> Parts:
    """Open keys and databases and join the parts. With `make`, a bare var/ is filled first.

    Raises VarDamaged, KeystoreDamaged, DatabaseDamaged.
    """
    clock = clock or SystemClock()
    is_bare = _is_bare(config)
    if is_bare and not make:
        raise VarDamaged(f"{config.var} holds nothing yet: run `python -m backend migrate` first")
    databases = open_databases(config.database_urls)
    config.var.mkdir(parents=True, exist_ok=True)
    try:
        databases.check(missing_ok=is_bare)  # first: nothing is written to a damaged one
        keys = _open_keys(config, databases, clock, make=is_bare)
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
        payments_api.blueprint,
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
        codes_api.internal_blueprint,
        identity_api.internal_blueprint,
        virtual_card_api.internal_blueprint,
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


def _is_bare(config: Config) -> bool:
    """Whether nothing was made here yet. Raises VarDamaged when only a part is left.

    Keys and SQLite databases were made together: all of them are there, or none is.
    """
    urls = config.database_urls.values()
    databases = [config.path_of(url) for url in urls if url.startswith("sqlite")]
    missing = [path for path in (*config.key_files, *databases) if not path.exists()]
    if missing and len(missing) < 2 + len(databases):
        raise VarDamaged(
            f"{', '.join(str(path) for path in missing)} missing beside what is left in "
            f"{config.var}: restore it from a backup, or remove the whole folder to begin anew"
        )
    return bool(missing)


def _open_keys(config: Config, databases: Databases, clock: Clock, *, make: bool) -> NamedKeys:
    keep_memory_private()
    store, _ = config.key_files
    if make and (filled := [which.value for which in Which if databases.has_rows(which)]):
        raise VarDamaged(
            f"{store} is missing, but database {', '.join(filled)} has been used: what is "
            "sealed there opens with its own keys only; restore them from a backup"
        )
    return open_keys(config.key_files, config.keys, clock, make=make)


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
    verifier = virtual_card.TapVerifier(units, keys, watch)
    cards = virtual_card.Cards(
        units,
        keys,
        terms.issuer(config),
        _registered(people),
        wallets.is_owner,
        holders=people,
        watch=watch,
    )
    brand = terms.words(config.city["brand"]["card_name"])
    messages = virtual_card.CardMessages(units, keys, sms, people, brand)
    sales = payments.Payments(
        units,
        ledger,
        verifier,
        shops,
        codes,
        wallets,
        terms.amounts(config.city["payments"]),
        automatic=automatic,
    )
    sender = identity.LoginCodeSender(units, keys, sms, brand)
    payouts = SandboxPayouts(bank.book, clock, bank.delay_seconds)
    custody = CustodyView(bank.book, clock, bank.mac, bank.delay_seconds, payouts=payouts)
    orders, debts = life.Orders(ledger, keys), life.RideDebts(units, ledger)
    redemptions = life.Redemptions(
        units, ledger, orders, debts, payouts, config.redemption(), people.get_name
    )
    consumers = _consumers(topups, automatic, batches, sales, sender)
    told = {
        **cards.consumers(),
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
        terminal_profiles=merchants.TerminalProfiles(shops, keys, terms.acceptance(config)),
        merchant_codes=codes,
        devices=virtual_card.Devices(units),
        cards=cards,
        codes=card_codes.open_codes(units, keys, people, shops.get_merchant),
        sales=sales,
        statements=payments.Statements(units),
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
    }


def _registered(people: identity.Identity) -> Callable[[str], bool]:
    return lambda person_id: people.get_person(person_id).registered
