"""Resources of a wallet's later life: the citizen's (public), the staff's (internal network)."""

from __future__ import annotations

from typing import Any

from flask.views import MethodView
from flask_smorest import Blueprint

from backend.db import Operation
from backend.kernel import AmountOutOfRange
from backend.wallet.ledger import (
    AccountClosed,
    AccountFrozen,
    InsufficientFunds,
)
from backend.wallet.life import errors, schemas
from backend.wallet.life.cases import Cases
from backend.wallet.life.corrections import Corrections
from backend.wallet.life.debts import RideDebts
from backend.wallet.life.freezes import Freezes
from backend.wallet.life.model import (
    AskCorrection,
    Case,
    ChangeWallet,
    CloseWallet,
    Closing,
    Correction,
    OpenDebt,
    PayCase,
    PayoutMatch,
    Redeem,
    Redemption,
    WalletChange,
    WriteOff,
    WrittenOff,
)
from backend.wallet.life.payout_match import PayoutMatches
from backend.wallet.life.service import Redemptions
from backend.wallet.life.states import WalletEvent, WalletTransitionRefused
from backend.wallet.model import FourEyesNeeded, WalletUnknown
from backend.wallet.topups.model import BankCardInvalid
from backend.web import (
    CallerKind,
    EmptyShape,
    Page,
    PageArguments,
    access,
    caller,
    command,
    refuses,
    service,
)

Body = dict[str, Any]
PAY_OUT_REFUSALS = (
    WalletUnknown,
    BankCardInvalid,
    errors.RedemptionExists,
    errors.RedemptionTooEarly,
    errors.RedemptionNotAllowed,
    errors.RideDebtOpen,
    AccountFrozen,
    AccountClosed,
)

blueprint = Blueprint("wallet_life", __name__, description="赎回与销户 · redemption and closing")
internal_blueprint = Blueprint(
    "wallet_cases", __name__, description="账户处理 · freezes, debts, cases, corrections"
)


@blueprint.route("/v1/me/redemptions")
class MyRedemptions(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.RedeemShape, answer=schemas.RedemptionShape, status=202)
    @refuses(*PAY_OUT_REFUSALS, AmountOutOfRange, InsufficientFunds)
    def post(self, body: Body, operation: Operation) -> Redemption:
        """Redeem to a bank card in my name: answers `processing`; ask again at `ask_again_at`."""
        return service(Redemptions).redeem(Redeem(person_id=caller().id, **body), operation)


@blueprint.route("/v1/me/redemptions/<redemption_id>")
class MyRedemption(MethodView):
    @access(CallerKind.CITIZEN)
    @blueprint.response(200, schemas.RedemptionShape)
    @refuses(errors.RedemptionUnknown)
    def get(self, redemption_id: str) -> Redemption:
        """What became of a redemption."""
        return service(Redemptions).get(redemption_id, caller().id)


@blueprint.route("/v1/me/wallets/<wallet_id>/closing")
class MyWalletClosing(MethodView):
    @access(CallerKind.CITIZEN)
    @command(blueprint, body=schemas.CloseWalletShape, answer=schemas.ClosingShape, status=202)
    @refuses(*PAY_OUT_REFUSALS, errors.WalletBusy, errors.BankCardNeeded)
    def post(self, body: Body, operation: Operation, wallet_id: str) -> Closing:
        """Close my wallet for ever; what is left is paid to a bank card in my name."""
        closing = CloseWallet(person_id=caller().id, wallet_id=wallet_id, **body)
        return service(Redemptions).close(closing, operation)


# --- staff ------------------------------------------------------------------------------------


def _change(wallet_id: str, event: WalletEvent, body: Body, operation: Operation) -> WalletChange:
    change = ChangeWallet(caller().id, wallet_id, event, body["reason"])
    return service(Freezes).change(change, operation)


@internal_blueprint.route("/v1/ops/wallets/<wallet_id>/freezes")
class OpsFreezes(MethodView):
    @access(CallerKind.STAFF, "wallets.freeze")
    @command(
        internal_blueprint, body=schemas.ReasonShape, answer=schemas.WalletChangeShape, status=200
    )
    @refuses(WalletUnknown, WalletTransitionRefused)
    def post(self, body: Body, operation: Operation, wallet_id: str) -> WalletChange:
        """Freeze a wallet: it gives nothing away and still receives."""
        return _change(wallet_id, WalletEvent.FREEZE, body, operation)


@internal_blueprint.route("/v1/ops/wallets/<wallet_id>/unfreezes")
class OpsUnfreezes(MethodView):
    @access(CallerKind.STAFF, "wallets.freeze")
    @command(
        internal_blueprint, body=schemas.ReasonShape, answer=schemas.WalletChangeShape, status=200
    )
    @refuses(WalletUnknown, WalletTransitionRefused)
    def post(self, body: Body, operation: Operation, wallet_id: str) -> WalletChange:
        """Open a frozen wallet again."""
        return _change(wallet_id, WalletEvent.UNFREEZE, body, operation)


@internal_blueprint.route("/v1/ops/wallets/<wallet_id>/changes")
class OpsWalletChanges(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, schemas.WalletChangePageShape)
    @refuses(WalletUnknown)
    def get(self, page: Body, wallet_id: str) -> Page[WalletChange]:
        """Who froze, unfroze or closed a wallet, newest first."""
        return Page(*service(Freezes).history(wallet_id, **page))


@internal_blueprint.route("/v1/ops/ride-debts")
class OpsRideDebts(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(PageArguments, location="query")
    @internal_blueprint.response(200, schemas.OpenDebtPageShape)
    def get(self, page: Body) -> Page[OpenDebt]:
        """Riders who owe a ride, by wallet id."""
        return Page(*service(RideDebts).open_debts(**page))


@internal_blueprint.route("/v1/ops/ride-debts/<wallet_id>/write-offs")
class OpsWriteOffs(MethodView):
    @access(CallerKind.STAFF, "debts.write")
    @command(internal_blueprint, body=schemas.WriteOffShape, answer=schemas.WrittenOffShape)
    @refuses(errors.RideDebtUnknown, errors.WriteOffExists)
    def post(self, body: Body, operation: Operation, wallet_id: str) -> WrittenOff:
        """Give a ride debt up, the whole of it (核销)."""
        wanted = WriteOff(staff_id=caller().id, wallet_id=wallet_id, **body)
        return service(RideDebts).write_off(wanted, operation)


@internal_blueprint.route("/v1/ops/suspense-cases")
class OpsCases(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(schemas.CaseArguments, location="query")
    @internal_blueprint.response(200, schemas.SuspenseCasePageShape)
    def get(self, page: Body) -> Page[Case]:
        """Money that came for closed wallets, oldest first."""
        return Page(*service(Cases).of_state(**page))


@internal_blueprint.route("/v1/ops/suspense-cases/<case_id>")
class OpsCase(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.response(200, schemas.SuspenseCaseShape)
    @refuses(errors.CaseUnknown)
    def get(self, case_id: str) -> Case:
        """One case."""
        return service(Cases).get(case_id)


@internal_blueprint.route("/v1/ops/suspense-cases/<case_id>/payouts")
class OpsCasePayouts(MethodView):
    @access(CallerKind.STAFF, "cases.write")
    @command(
        internal_blueprint,
        body=schemas.PaySuspenseCaseShape,
        answer=schemas.SuspenseCaseShape,
        status=200,
    )
    @refuses(
        errors.CaseUnknown,
        errors.CaseDecided,
        errors.CaseNotTheirs,
        errors.RedemptionExists,
        WalletUnknown,
        BankCardInvalid,
        AccountClosed,
    )
    def post(self, body: Body, operation: Operation, case_id: str) -> Case:
        """Pay a case to its owner: into an open wallet of theirs, or to their bank card."""
        return service(Cases).pay(PayCase(caller().id, case_id, **body), operation)


@internal_blueprint.route("/v1/ops/corrections")
class OpsCorrections(MethodView):
    @access(CallerKind.STAFF, "ledger.read")
    @internal_blueprint.arguments(schemas.CorrectionArguments, location="query")
    @internal_blueprint.response(200, schemas.CorrectionPageShape)
    def get(self, page: Body) -> Page[Correction]:
        """Corrections in a state, oldest first."""
        return Page(*service(Corrections).of_state(**page))

    @access(CallerKind.STAFF, "corrections.write")
    @command(internal_blueprint, body=schemas.AskCorrectionShape, answer=schemas.CorrectionShape)
    @refuses(
        errors.PostingUnknown,
        errors.CorrectionNotPossible,
        errors.AlreadyCorrected,
        errors.CorrectionExists,
    )
    def post(self, body: Body, operation: Operation) -> Correction:
        """Ask that a posting be undone by its mirror; somebody else approves it."""
        return service(Corrections).ask(AskCorrection(caller().id, **body), operation)


DECISION_REFUSALS = (errors.CorrectionUnknown, errors.CorrectionDecided, FourEyesNeeded)


@internal_blueprint.route("/v1/ops/corrections/<correction_id>/approvals")
class OpsCorrectionApprovals(MethodView):
    @access(CallerKind.STAFF, "corrections.write")
    @command(internal_blueprint, body=EmptyShape, answer=schemas.CorrectionShape, status=200)
    @refuses(
        *DECISION_REFUSALS,
        errors.AlreadyCorrected,
        InsufficientFunds,
        AccountFrozen,
        AccountClosed,
    )
    def post(self, body: Body, operation: Operation, correction_id: str) -> Correction:
        """Approve a correction that somebody else asked for: the mirror is posted."""
        return service(Corrections).approve(correction_id, caller().id, operation)


@internal_blueprint.route("/v1/ops/corrections/<correction_id>/rejections")
class OpsCorrectionRejections(MethodView):
    @access(CallerKind.STAFF, "corrections.write")
    @command(internal_blueprint, body=EmptyShape, answer=schemas.CorrectionShape, status=200)
    @refuses(*DECISION_REFUSALS)
    def post(self, body: Body, operation: Operation, correction_id: str) -> Correction:
        """Leave the posting as it is."""
        return service(Corrections).reject(correction_id, caller().id, operation)


@internal_blueprint.route("/v1/ops/custody/payout-reconciliations")
class OpsPayoutMatches(MethodView):
    @access(CallerKind.STAFF, "custody.write")
    @command(internal_blueprint, body=schemas.MatchPayoutsShape, answer=schemas.PayoutMatchShape)
    @refuses(InsufficientFunds)
    def post(self, body: Body, operation: Operation) -> PayoutMatch:
        """Book what the bank's statement of one business day shows as paid out."""
        return service(PayoutMatches).match(body["business_date"], operation)
