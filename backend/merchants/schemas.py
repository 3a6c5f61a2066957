"""Wire shapes of merchants, terminals, activation, login and merchant codes."""

from __future__ import annotations

from marshmallow import EXCLUDE, fields, validate

from backend.keys import point_to_jwk, public_jwk
from backend.merchants.states import Event
from backend.web import EcKey, Fen, Moment, Shape, TypeIdField
from card_protocol.place import NO_STATION, Direction

GRANT_TYPE = "client_credentials"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
NAME = validate.Length(min=1, max=60)
HEX_4 = validate.Regexp(r"[0-9A-F]{4}\Z")
CHANGES = {event.value: event for event in (Event.SUSPEND, Event.RESUME, Event.CLOSE)}


class AddMerchantShape(Shape):
    merchant_id = TypeIdField("mer", required=True)
    name = fields.String(required=True, validate=NAME, metadata={"example": "城东超市"})
    name_en = fields.String(
        validate=validate.Regexp(r"[ -~]{1,25}\Z"),
        metadata={"example": "CHENGDONG MARKET", "description": "printable ASCII, for QR codes"},
    )
    mcc = fields.String(
        required=True,
        validate=validate.Regexp(r"[0-9]{4}\Z"),
        metadata={"example": "5411", "description": "category, ISO 18245"},
    )
    city = fields.String(
        required=True, validate=validate.Length(min=1, max=30), metadata={"example": "银城"}
    )


class MerchantShape(AddMerchantShape):
    merchant_number = fields.String(metadata={"example": "104110054110001"})
    created_at = Moment()


class AddShopShape(Shape):
    shop_id = TypeIdField("shp", required=True)
    name = fields.String(required=True, validate=NAME, metadata={"example": "一号店"})


class ShopShape(AddShopShape):
    merchant_id = TypeIdField("mer")
    shop_number = fields.String(metadata={"example": "00004711"})
    created_at = Moment()


class AddTerminalShape(Shape):
    terminal_id = TypeIdField("trm", required=True)
    label = fields.String(required=True, validate=NAME, metadata={"example": "till 2"})


class AddClientShape(Shape):
    client_id = TypeIdField("mcl", required=True)
    label = fields.String(required=True, validate=NAME, metadata={"example": "web shop"})


class ClientShape(Shape):
    client_id = fields.String(metadata={"description": "trm_… or mcl_…"})
    kind = fields.Function(
        lambda one: one.kind.value, metadata={"type": "string", "enum": ["terminal", "merchant"]}
    )
    merchant_id = TypeIdField("mer")
    shop_id = TypeIdField("shp", allow_none=True)
    terminal_number = fields.String(allow_none=True, metadata={"example": "00000042"})
    label = fields.String()
    state = fields.Function(
        lambda one: one.state.value,
        metadata={"type": "string", "enum": ["ordered", "active", "suspended", "closed"]},
    )
    created_at = Moment()
    activated_at = Moment(allow_none=True)


class OrderedShape(Shape):
    """A client and the code to type into its device."""

    client_id = fields.String(attribute="client.client_id")
    merchant_id = fields.String(attribute="client.merchant_id")
    shop_id = fields.String(attribute="client.shop_id", allow_none=True)
    terminal_number = fields.String(attribute="client.terminal_number", allow_none=True)
    label = fields.String(attribute="client.label")
    state = fields.Function(lambda one: one.client.state.value, metadata={"type": "string"})
    activation_code = fields.String(metadata={"example": "7KQM-4T2X"})
    expires_at = Moment()


class OrderedTerminalShape(OrderedShape):
    terminal_id = fields.Function(
        lambda one: one.client.client_id,
        metadata={"type": "string", "description": "the same as client_id"},
    )


class ChangeClientShape(Shape):
    event = fields.String(required=True, validate=validate.OneOf(list(CHANGES)))


class ActivationShape(Shape):
    activation_code = fields.String(
        required=True,
        validate=validate.Length(min=8, max=16),
        metadata={"example": "7KQM-4T2X", "description": "hyphen and case do not matter"},
    )
    public_key = EcKey(required=True, metadata={"description": "JWK EC P-256"})
    label = fields.String(required=True, validate=NAME, metadata={"example": "till 2"})


class ActivatedShape(Shape):
    client_id = fields.String(metadata={"description": "trm_… or mcl_…"})
    kind = fields.Function(lambda one: one.kind.value, metadata={"type": "string"})
    merchant_id = TypeIdField("mer")
    merchant_name = fields.String()
    shop_id = TypeIdField("shp", allow_none=True)
    shop_name = fields.String(allow_none=True)
    terminal_number = fields.String(allow_none=True)
    merchant_number = fields.String()
    profile_keys = fields.Function(
        lambda one: [public_jwk(key) for key in one.profile_keys],
        metadata={
            "type": "array",
            "items": {"type": "object"},
            "description": "JWKs that sign this terminal's profile and the deny list: keep them",
        },
    )


class TokenRequestShape(Shape):
    """RFC 7523, 2.2; parameters we do not know are passed over (RFC 6749, 3.2)."""

    class Meta:
        unknown = EXCLUDE

    grant_type = fields.String(required=True, validate=validate.Equal(GRANT_TYPE))
    client_assertion_type = fields.String(required=True, validate=validate.Equal(ASSERTION_TYPE))
    client_assertion = fields.String(
        required=True,
        metadata={"description": "JWT, ES256: iss = sub = client id, aud /v1/token, iat, exp, jti"},
    )


class TokenShape(Shape):
    access_token = fields.String()
    token_type = fields.String(metadata={"example": "Bearer"})
    expires_in = fields.Integer(metadata={"description": "seconds"})
    scope = fields.String(metadata={"example": "terminal"})


class ApplicationShape(Shape):
    aid = fields.String(attribute="aid_hex", metadata={"example": "F0434954594341524401"})
    label = fields.String(metadata={"example": "CITY CARD"})
    priority = fields.Integer(metadata={"description": "1 is tried first"})


class IssuerKeyShape(Shape):
    suite = fields.Function(
        lambda one: int(one.suite),
        metadata={"type": "integer", "description": "1: ES256; 2: SM2; with index it names a key"},
    )
    index = fields.Integer()
    public_key = fields.Function(
        lambda one: point_to_jwk(one.point, one.suite),
        metadata={"type": "object", "description": "JWK EC, crv P-256, or SM2 in suite 2"},
    )


class TerminalProfileShape(Shape):
    profile_version = fields.Integer()
    terminal_id = fields.String(attribute="terminal.terminal_id")
    terminal_number = fields.String(attribute="terminal.terminal_number")
    merchant_number = fields.String(attribute="terminal.merchant_number")
    merchant_name = fields.String(attribute="terminal.merchant_name")
    shop_name = fields.String(attribute="terminal.shop_name")
    currency = fields.Integer(metadata={"example": 156})
    applications = fields.List(fields.Nested(ApplicationShape))
    issuer_keys = fields.List(fields.Nested(IssuerKeyShape))
    online_timeout_seconds = fields.Integer()
    profile_code = fields.String(metadata={"example": "shop"})
    deny_list_version = fields.Integer(metadata={"description": "when this was asked for"})
    terms = fields.Function(
        lambda one: one.terms.to_document(),
        metadata={
            "type": "object",
            "description": "mode, fare, offline limits, what is taken when the profile is too old",
        },
    )
    place = fields.Function(
        lambda one: one.place.to_document(),
        metadata={
            "type": "object",
            "description": "city, operator, acquirer, line, station, direction",
        },
    )
    ride_codes = fields.Function(
        lambda one: one.ride_codes.to_document() if one.ride_codes else None,
        metadata={"type": ["object", "null"], "description": "whose ride codes are genuine"},
    )


class SignedProfileShape(Shape):
    document = fields.String(
        metadata={
            "description": "JWS, ES256, typ city-terminal-profile+jwt: sub, iat, exp, profile"
        }
    )
    keys = fields.Function(
        lambda one: [public_jwk(key) for key in one.keys],
        metadata={
            "type": "array",
            "items": {"type": "object"},
            "description": "JWKs, for a terminal that has not pinned any yet",
        },
    )


class ChooseProfileShape(Shape):
    profile = fields.String(
        required=True,
        validate=validate.Regexp(r"[a-z0-9-]{1,32}\Z"),
        metadata={"example": "bus", "description": "a code of [[terminal_profiles]] of the city"},
    )
    line = fields.String(
        validate=HEX_4,
        load_default=NO_STATION,
        metadata={"example": "0001", "description": "2 bytes, hexadecimal; 0000: none"},
    )
    station = fields.String(
        validate=HEX_4,
        load_default=NO_STATION,
        metadata={"example": "0101", "description": "as the fare table names it; 0000: none"},
    )
    direction = fields.Enum(
        Direction,
        by_value=True,
        allow_none=True,
        load_default=None,
        metadata={"description": "of a gate, a barrier or a dock"},
    )


class ChosenProfileShape(ChooseProfileShape):
    terminal_id = TypeIdField("trm")


class MakeCodeShape(Shape):
    bill_number = fields.String(
        required=True,
        validate=validate.Regexp(r"[A-Za-z0-9]{1,25}\Z"),
        metadata={"example": "B20261123001"},
    )
    amount_fen = Fen(allow_none=True, load_default=None)


class CodeShape(Shape):
    content = fields.String(metadata={"description": "EMVCo merchant-presented text"})


class ReadCodeShape(Shape):
    content = fields.String(required=True, validate=validate.Length(min=1, max=512))


class CodeReadShape(Shape):
    merchant_name = fields.String(attribute="merchant.name")
    shop_name = fields.String(attribute="shop.name")
    shop_id = fields.String(attribute="shop.shop_id")
    amount_fen = fields.Integer(allow_none=True)
    bill_number = fields.String(allow_none=True)
