"""What the virtual card refuses with: kinds, codes and words; knows no rows and no HTTP."""

from __future__ import annotations

from backend.kernel import DomainError, Kind, Words


class DeviceUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "device_unknown"
    title = Words(zh="没有此设备", en="No such device")
    detail = Words(zh="您名下没有此设备。", en="You have no device with this id.")


class DeviceEnded(DomainError):
    kind, code = Kind.CONFLICT, "device_ended"
    title = Words(zh="设备已停用", en="Device ended")
    detail = Words(zh="此设备已停用，请重新登记。", en="This device has ended; enrol it anew.")


class DevicesTooMany(DomainError):
    kind, code = Kind.CONFLICT, "devices_too_many"
    title = Words(zh="设备数量已满", en="Too many devices")
    detail = Words(
        zh="每人最多可登记 {devices_max} 台设备，请先停用一台。",
        en="A person has at most {devices_max} devices; end one first.",
    )


class DeviceKeyMissing(DomainError):
    kind, code = Kind.CONFLICT, "device_key_missing"
    title = Words(zh="设备缺少签名密钥", en="Device key missing")
    detail = Words(
        zh="此产品的卡使用 {suite} 套件，请先为此设备登记相应的签名密钥。",
        en="Cards of this product are of suite {suite}: make this device's key for it known first.",
    )


class DeviceKeyExists(DomainError):
    kind, code = Kind.CONFLICT, "device_key_exists"
    title = Words(zh="设备已有另一密钥", en="Device has another key")
    detail = Words(
        zh="此设备已登记另一 SM2 密钥；更换密钥请停用此设备后重新登记。",
        en="This device has another SM2 key; to change it, end the device and enrol it anew.",
    )


class PersonNotRegistered(DomainError):
    kind, code = Kind.FORBIDDEN, "person_not_registered"
    title = Words(zh="请先完成实名登记", en="Please register first")
    detail = Words(zh="实名登记后才能开通手机卡。", en="A phone card needs a registered person.")


class ProductUnknown(DomainError):
    kind, code = Kind.INVALID, "product_unknown"
    title = Words(zh="没有此产品", en="No such product")
    detail = Words(zh="本市未开通此卡产品。", en="This city issues no such card product.")


class TokenExists(DomainError):
    kind, code = Kind.CONFLICT, "token_exists"
    title = Words(zh="此设备已有卡", en="Card already there")
    detail = Words(
        zh="此设备上已有同一产品的卡：{token_id}。",
        en="This device already carries a card of this product: {token_id}.",
    )


class TokenUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "token_unknown"
    title = Words(zh="没有此卡", en="No such card")
    detail = Words(zh="卡不存在。", en="There is no such card.")


class TokenNumbersExhausted(DomainError):
    kind, code, retryable = Kind.UNAVAILABLE, "token_numbers_exhausted", True
    title = Words(zh="暂无可用卡号", en="No free card number found")
    detail = Words(zh="请稍后重试。", en="Please try again.")


class TokenTransitionRefused(DomainError):
    kind, code = Kind.CONFLICT, "token_transition_refused"
    title = Words(zh="卡当前状态不允许", en="Not possible in this state")
    detail = Words(
        zh="卡状态为 {state}，不能执行 {event}。", en="The card is {state}: {event} is refused."
    )


class TokenSuspended(DomainError):
    kind, code = Kind.REFUSED, "token_suspended"
    title = Words(zh="卡已挂失", en="Card suspended")
    detail = Words(zh="此卡已暂停使用。", en="This card is suspended.")


class TokenDeleted(DomainError):
    kind, code = Kind.REFUSED, "token_deleted"
    title = Words(zh="卡已注销", en="Card deleted")
    detail = Words(zh="此卡已注销。", en="This card was deleted.")


class TokenPending(DomainError):
    kind, code = Kind.REFUSED, "token_pending"
    title = Words(zh="卡尚未启用", en="Card not confirmed yet")
    detail = Words(
        zh="请在新手机上打开应用完成启用。", en="Open the app on the new phone to finish the move."
    )


class TokenCloned(DomainError):
    kind, code = Kind.REFUSED, "token_clone_suspected"
    title = Words(zh="疑似复制卡", en="Copied card suspected")
    detail = Words(
        zh="此卡的交易序号自相矛盾，已暂停使用。",
        en="This card's counters contradict each other: it is suspended.",
    )


class ReleaseRefused(DomainError):
    kind, code = Kind.FORBIDDEN, "release_refused"
    title = Words(zh="不能自行解挂", en="Not released this way")
    detail = Words(
        zh="此卡因 {reason} 暂停，请联系客服或重新开卡。",
        en="Suspended for {reason}: call the service line, or get a new card.",
    )


class StepUpRequired(DomainError):
    """Data: step_up_id, reasons (list of codes), expires_at (RFC 3339)."""

    kind, code = Kind.FORBIDDEN, "step_up_required"
    title = Words(zh="需要短信验证", en="One-time code needed")
    detail = Words(
        zh="验证码已发往您的手机，请输入后重试。",
        en="A code was sent to your phone number: enter it, then ask again.",
    )


class StepUpUnknown(DomainError):
    kind, code = Kind.UNKNOWN, "step_up_unknown"
    title = Words(zh="没有此验证", en="No such verification")
    detail = Words(zh="请重新发起操作。", en="Please begin again.")


class StepUpEnded(DomainError):
    kind, code = Kind.CONFLICT, "step_up_ended"
    title = Words(zh="验证已失效", en="Verification ended")
    detail = Words(
        zh="验证码已过期、已使用或错误次数过多，请重新发起操作。",
        en="The code expired, was used, or was wrong too often; please begin again.",
    )


class StepUpCodeWrong(DomainError):
    kind, code = Kind.FORBIDDEN, "step_up_code_wrong"
    title = Words(zh="验证码错误", en="Wrong code")
    detail = Words(zh="还可尝试 {tries_left} 次。", en="{tries_left} more tries.")


class StepUpTooOften(DomainError):
    kind, code, retryable = Kind.LIMITED, "step_up_too_often", True
    title = Words(zh="验证码请求过于频繁", en="Too many codes asked for")
    detail = Words(zh="请稍后再试。", en="Please try again later.")


class ProvisioningDeclined(DomainError):
    """Data: reasons (list of codes)."""

    kind, code = Kind.FORBIDDEN, "provisioning_declined"
    title = Words(zh="不能开通手机卡", en="No phone card here")
    detail = Words(
        zh="按规则不能在此手机开卡：{reasons}。", en="The rules speak against it: {reasons}."
    )


class AttestationInvalid(DomainError):
    """Data: reason (code)."""

    kind, code = Kind.INVALID, "attestation_invalid"
    title = Words(zh="设备证明无效", en="Attestation not accepted")
    detail = Words(zh="设备证明未通过：{reason}。", en="The device's statement fails: {reason}.")


class AttestationRequired(DomainError):
    kind, code = Kind.FORBIDDEN, "attestation_required"
    title = Words(zh="需要设备证明", en="Attestation needed")
    detail = Words(
        zh="本市只登记附有设备证明的手机。",
        en="This city enrols only phones whose platform vouches for them.",
    )


class AttestationUnavailable(DomainError):
    kind, code, retryable = Kind.UNAVAILABLE, "attestation_unavailable", True
    title = Words(zh="设备证明服务不可用", en="Attestation service not reached")
    detail = Words(zh="请稍后重试。", en="Please try again.")


class NonceUnknown(DomainError):
    kind, code = Kind.CONFLICT, "attestation_nonce_unknown"
    title = Words(zh="证明随机数无效", en="Nonce not valid")
    detail = Words(
        zh="随机数不存在、已使用或已过期，请重新获取。",
        en="The nonce is unknown, used or too old; fetch a new one.",
    )


class MoveOpen(DomainError):
    kind, code = Kind.CONFLICT, "move_open"
    title = Words(zh="换机正在进行", en="A move is under way")
    detail = Words(zh="此卡正在转移到另一手机。", en="This card is moving to another phone.")


class MoveRefused(DomainError):
    kind, code = Kind.CONFLICT, "move_refused"
    title = Words(zh="不能转移此卡", en="This card cannot move")
    detail = Words(
        zh="卡须在用，且新手机须不同于原手机。",
        en="The card must be active, and the new phone another one.",
    )


class EventMalformed(DomainError):
    kind, code = Kind.INVALID, "card_event_malformed"
    title = Words(zh="事件内容不完整", en="Event not complete")
    detail = Words(zh="事件 {event} 缺少 {field}。", en="Event {event} needs {field}.")


class EventsTooMany(DomainError):
    kind, code = Kind.CONFLICT, "card_events_too_many"
    title = Words(zh="事件过多", en="Too many events")
    detail = Words(zh="此人的卡事件过多，请人工处理。", en="Too many events of this person.")


class TapMalformed(DomainError):
    kind, code = Kind.INVALID, "tap_malformed"
    title = Words(zh="刷卡数据无法识别", en="Tap not readable")
    detail = Words(
        zh="终端送来的卡片数据不完整或格式不符。", en="The card's data is cut short or malformed."
    )


class SuiteRefused(DomainError):
    kind, code = Kind.REFUSED, "suite_not_supported"
    title = Words(zh="不支持此密码套件", en="Cipher suite not supported")
    detail = Words(
        zh="卡片使用的密码套件尚未开通。", en="The card's cipher suite is not in use here."
    )


class KeyUnknown(DomainError):
    kind, code = Kind.REFUSED, "key_unknown"
    title = Words(zh="密钥未知", en="Key unknown")
    detail = Words(zh="卡片使用的密钥未曾发放。", en="The card used a key that was never issued.")


class KeyExpired(DomainError):
    kind, code = Kind.REFUSED, "key_expired"
    title = Words(zh="密钥已过期", en="Key expired")
    detail = Words(zh="请打开手机应用联网更新后重试。", en="Open the app online, then try again.")


class KeyExhausted(DomainError):
    kind, code = Kind.REFUSED, "key_exhausted"
    title = Words(zh="密钥次数已用完", en="Key used up")
    detail = Words(
        zh="此密钥最多使用 {uses_max} 次，请打开手机应用联网更新。",
        en="This key works {uses_max} times; open the app online.",
    )


class CryptogramInvalid(DomainError):
    kind, code = Kind.REFUSED, "cryptogram_invalid"
    title = Words(zh="交易密文不符", en="Cryptogram not accepted")
    detail = Words(zh="卡片数据校验失败。", en="The card's cryptogram does not fit its data.")


class SignatureInvalid(DomainError):
    kind, code = Kind.REFUSED, "signature_invalid"
    title = Words(zh="设备签名不符", en="Signature not accepted")
    detail = Words(zh="设备签名校验失败。", en="The device's signature does not fit its data.")


class AtcOutOfWindow(DomainError):
    kind, code = Kind.REFUSED, "atc_out_of_window"
    title = Words(zh="交易序号超出范围", en="Counter out of its window")
    detail = Words(
        zh="卡片交易序号与记录相差过大。", en="The card's counter is too far from what was seen."
    )


class ProofSeen(DomainError):
    """A proof works once; its counter was claimed by an earlier payment."""

    kind = Kind.REFUSED


class AtcSeen(ProofSeen):
    code = "atc_seen"
    title = Words(zh="此次刷卡已处理", en="Tap already used")
    detail = Words(zh="请重新刷卡。", en="Please tap again.")


class PayCodeUsed(ProofSeen):
    code = "pay_code_used"
    title = Words(zh="付款码已使用", en="Pay code already used")
    detail = Words(zh="请刷新付款码。", en="Please show a fresh code.")


class PayCodeMalformed(DomainError):
    kind, code = Kind.INVALID, "pay_code_malformed"
    title = Words(zh="付款码无法识别", en="Pay code not readable")
    detail = Words(zh="内容不是完整的付款码。", en="The content is not a whole pay code.")


class PayCodeForeign(DomainError):
    kind, code = Kind.INVALID, "pay_code_foreign"
    title = Words(zh="不是本卡的付款码", en="Another scheme's code")
    detail = Words(zh="此付款码属于其他支付机构。", en="This pay code belongs to another scheme.")


class PayCodeUnknown(DomainError):
    kind, code = Kind.REFUSED, "pay_code_unknown"
    title = Words(zh="付款码未知", en="Pay code unknown")
    detail = Words(zh="没有与此付款码对应的卡。", en="No card belongs to this code.")


class PayCodeExpired(DomainError):
    kind, code = Kind.REFUSED, "pay_code_expired"
    title = Words(zh="付款码已过期", en="Pay code expired")
    detail = Words(zh="请刷新付款码。", en="Please show a fresh code.")


class PayCodeNotYetValid(DomainError):
    kind, code = Kind.REFUSED, "pay_code_not_yet_valid"
    title = Words(zh="付款码尚未生效", en="Pay code not yet valid")
    detail = Words(
        zh="手机时间快于标准时间，请校准。", en="The phone's clock is ahead; correct it."
    )


class PayCodeClockWrong(DomainError):
    kind, code = Kind.REFUSED, "pay_code_clock_wrong"
    title = Words(zh="手机时区有误", en="Time zone wrong")
    detail = Words(
        zh="付款码的时间相差约八小时，请检查手机时间与时区。",
        en="The code is about 8 hours off; check the phone's clock and time zone.",
    )


class PayCodeAltered(DomainError):
    kind, code = Kind.REFUSED, "pay_code_altered"
    title = Words(zh="付款码校验不符", en="Pay code altered")
    detail = Words(zh="付款码不是此卡生成的。", en="This card did not make this code.")
