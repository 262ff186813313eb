"""The queue in the browser: `queuectl web`. Starlette serves it, Jinja2 writes it; needs the extra `web`.

Read `app` for what there is, `door` for who gets in, `watching` for how a change reaches a page.
"""
