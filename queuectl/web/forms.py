"""What a form sends, as browsers send it: names and values, no files."""

from __future__ import annotations

from urllib.parse import parse_qsl

from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.requests import Request

FORM_FIELD = "form_token"
"""In each form of ours; see `door`."""
MOST_BYTES = 4 * 2**20
_MOST_FIELDS = 1000
_KIND = "application/x-www-form-urlencoded"


async def fields_of(request: Request) -> FormData:
    """The fields of this form.

    Raises:
        HTTPException: it is none, or too large.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != _KIND:
        raise HTTPException(415, "This is no form of a page.")
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MOST_BYTES:
            raise HTTPException(413, "That is more than a form takes.")
    try:
        pairs = parse_qsl(data.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise HTTPException(400, "This is no form of a page.") from None
    return FormData([(name, value) for name, value in pairs])


def text_of(form: FormData, name: str) -> str:
    """One field of it; empty if it has none."""
    return str(form.get(name, ""))
