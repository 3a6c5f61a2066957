"""Two WSGI applications (两网): `wsgi:public` and `wsgi:internal`; nothing else lives here."""

from backend.app import create_internal_app, create_public_app, open_parts
from backend.config import load_config
from backend.web.logs import set_up_logs

set_up_logs(None)
_parts = open_parts(load_config())

public = create_public_app(_parts)
internal = create_internal_app(_parts)
