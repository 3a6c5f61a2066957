"""Tokens in full: suites, kinds, reasons, decisions, one-time codes, events, moves, taps."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from alembic.operations.base import BatchOperations

from backend import db

revision = "business_0002"
down_revision = "business_0001"
branch_labels = None
depends_on = None

BY_PERSON = {"citus": "person_id"}
BY_TOKEN = {"citus": "token_id"}


def upgrade() -> None:
    _extend_devices()
    _extend_tokens()
    _extend_history()
    _make_person_tables()
    _make_event_tables()
    _make_tap_tables()


def _extend_devices() -> None:
    op.add_column("device", _filled("attested", "none"))
    op.add_column("device", _filled("os_integrity", "unknown"))
    op.add_column("device", sa.Column("model", sa.String(length=60), nullable=True))
    with op.batch_alter_table("device") as batch:
        _drop_defaults(batch, "attested", "os_integrity")
        _add_law(batch, "device", "attested", "attested IN ('none', 'software', 'hardware')")
        _add_law(
            batch, "device", "os_integrity", "os_integrity IN ('unknown', 'verified', 'broken')"
        )


def _extend_tokens() -> None:
    suite = sa.Column("suite", sa.SmallInteger(), server_default="1", nullable=False)
    op.add_column("token", suite)
    op.add_column("token", _filled("card_kind", "mobile"))
    op.add_column("token", sa.Column("card_id", sa.String(length=64), nullable=True))
    op.add_column("token", sa.Column("suspended_for", sa.String(length=32), nullable=True))
    op.execute("UPDATE token SET suspended_for = 'holder_reported_loss' WHERE state = 'suspended'")
    with op.batch_alter_table("token") as batch:
        _drop_defaults(batch, "suite", "card_kind")
        batch.drop_constraint(op.f("ck_token_state"), type_="check")
        _add_law(batch, "token", "state", "state IN ('pending', 'active', 'suspended', 'deleted')")
        _add_law(
            batch,
            "token",
            "suspended_has_reason",
            "(state = 'suspended') = (suspended_for IS NOT NULL)",
        )
        _add_law(batch, "token", "card_kind", "card_kind IN ('main', 'secondary', 'mobile')")


def _extend_history() -> None:
    op.add_column("token_history", _filled("by_kind", "citizen"))
    op.add_column("token_history", sa.Column("by_id", sa.String(length=64), nullable=True))
    op.add_column("token_history", sa.Column("event_id", sa.String(length=64), nullable=True))
    with op.batch_alter_table("token_history") as batch:
        _drop_defaults(batch, "by_kind")


def _filled(name: str, word: str) -> sa.Column[str]:
    """A new column that old rows fill with `word`; it is no default for new ones."""
    return sa.Column(name, sa.String(length=16), server_default=word, nullable=False)


def _drop_defaults(batch: BatchOperations, *columns: str) -> None:
    for column in columns:
        batch.alter_column(column, server_default=None)


def _add_law(batch: BatchOperations, table: str, name: str, text: str) -> None:
    batch.create_check_constraint(op.f(f"ck_{table}_{name}"), sa.text(text))


def _law(table: str, name: str, text: str) -> sa.CheckConstraint:
    return sa.CheckConstraint(text, name=op.f(f"ck_{table}_{name}"))


def _id(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=64), nullable=nullable)


def _word(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=16), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, db.Utc(timezone=True), nullable=nullable)


def _key(table: str, *columns: str) -> sa.PrimaryKeyConstraint:
    return sa.PrimaryKeyConstraint(*columns, name=op.f(f"pk_{table}"))


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))


def _make_person_tables() -> None:
    op.create_table(
        "card_holder",
        _id("person_id"),
        _moment("touched_at"),
        _key("card_holder", "person_id"),
        info=BY_PERSON,
    )
    op.create_table(
        "token_decision",
        _id("person_id"),
        _id("decision_id"),
        _id("token_id"),
        _id("device_id"),
        _word("outcome"),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        _moment("at"),
        _law("token_decision", "outcome", "outcome IN ('approve', 'step_up', 'decline')"),
        _key("token_decision", "person_id", "decision_id"),
        info=BY_PERSON,
    )
    _index("token_decision", "person_id", "at")
    _index("token_decision", "token_id")
    op.create_table(
        "card_step_up",
        _id("person_id"),
        _id("step_up_id"),
        _word("purpose"),
        _id("subject"),
        _word("state"),
        sa.Column("code_mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("tries_left", sa.SmallInteger(), nullable=False),
        _moment("asked_at"),
        _moment("expires_at"),
        _moment("passed_at", nullable=True),
        _law("card_step_up", "state", "state IN ('waiting', 'locked', 'passed', 'used')"),
        _law("card_step_up", "tries_bounded", "tries_left BETWEEN 0 AND 5"),
        _law("card_step_up", "locked_has_no_tries", "(state = 'locked') = (tries_left = 0)"),
        _law(
            "card_step_up",
            "passed_has_a_moment",
            "(state IN ('passed', 'used')) = (passed_at IS NOT NULL)",
        ),
        _key("card_step_up", "person_id", "step_up_id"),
        info=BY_PERSON,
    )
    _index("card_step_up", "person_id", "asked_at")


def _make_event_tables() -> None:
    op.create_table(
        "card_event",
        _id("person_id"),
        _id("event_id"),
        _word("kind"),
        sa.Column("content", sa.JSON(), nullable=False),
        sa.Column("effects", sa.JSON(), nullable=False),
        _word("by_kind"),
        _id("by_id", nullable=True),
        _moment("at"),
        _key("card_event", "person_id", "event_id"),
        info=BY_PERSON,
    )
    op.create_table(
        "token_move",
        _id("person_id"),
        _id("token_id"),
        _id("device_id"),
        _id("new_token_id", nullable=True),
        _word("state"),
        _moment("begun_at"),
        _moment("due_at"),
        _law("token_move", "state", "state IN ('open', 'done', 'overdue', 'lapsed')"),
        _law(
            "token_move",
            "has_successor",
            "state IN ('open', 'lapsed') OR new_token_id IS NOT NULL",
        ),
        _key("token_move", "person_id", "token_id"),
        info=BY_PERSON,
    )
    _index("token_move", "person_id", "new_token_id")


def _make_tap_tables() -> None:
    op.create_table(
        "token_tap",
        _id("token_id"),
        sa.Column("slot", sa.SmallInteger(), nullable=False),
        sa.Column("atc", sa.Integer(), nullable=False),
        sa.Column("key_index", sa.Integer(), nullable=False),
        sa.Column("cryptogram", sa.LargeBinary(length=8), nullable=False),
        _moment("tapped_at", nullable=True),
        _moment("seen_at"),
        _law("token_tap", "atc_range", "atc BETWEEN 1 AND 65535"),
        _law("token_tap", "slot_of_counter", "slot = atc % 512"),
        _key("token_tap", "token_id", "slot"),
        info=BY_TOKEN,
    )
    op.create_table(
        "token_watch",
        _id("token_id"),
        sa.Column("atc_highest", sa.Integer(), nullable=False),
        sa.Column("live_atc", sa.Integer(), nullable=True),
        _moment("live_at", nullable=True),
        _law("token_watch", "live_has_a_moment", "(live_atc IS NULL) = (live_at IS NULL)"),
        _key("token_watch", "token_id"),
        info=BY_TOKEN,
    )


def downgrade() -> None:
    raise NotImplementedError("money is not migrated backwards: restore a backup instead")
