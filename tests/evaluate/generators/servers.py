"""A real HTTP server with OpenAI's interface that answers, and misbehaves, as it is told."""

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from htpo.evaluate.generators import background

ANSWER = {"choices": [{"text": "\\boxed{0}", "finish_reason": "stop"}], "usage": {"completion_tokens": 4}}


def chat_answer(text, reason="stop", tokens=4, **kept_apart):
    """A reply; `reasoning_content=...` or `reasoning=...` stand beside its content."""
    return {
        "choices": [{"message": {"role": "assistant", "content": text, **kept_apart}, "finish_reason": reason}],
        "usage": {"completion_tokens": tokens},
    }


def interrupt_after_the_first(monkeypatch):
    """Have Ctrl-C come once, when the first thing has come of those that are waited for."""
    real, calls = background._take_together, []

    def interrupted(inbox, came):
        calls.append(len(calls))
        if len(calls) == 1:
            came.append(inbox.get())
            raise KeyboardInterrupt
        return real(inbox, came)

    monkeypatch.setattr(background, "_take_together", interrupted)


class Misbehaviour:
    """What the server does instead of answering. Each takes the handler."""

    @staticmethod
    def status(code, headers=None, text="no"):
        def misbehave(handler):
            handler.reply(code, text.encode(), headers or {})

        return misbehave

    @staticmethod
    def say(content):
        return lambda handler: handler.reply(
            200, content if isinstance(content, bytes) else json.dumps(content).encode()
        )

    @staticmethod
    def drop(handler):
        handler.close_connection = True
        handler.connection.close()

    @staticmethod
    def cut_short(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b'{"choices": [{"te')
        handler.close_connection = True


class Server:
    """What was asked, and what is done about it.

    Attributes:
        answer: body -> the reply as JSON.
        misbehave: (number of the request, body) -> a `Misbehaviour` or None to answer.
    """

    def __init__(self, answer, misbehave=lambda number, body: None):
        self.answer, self.misbehave = answer, misbehave
        self.bodies, self.paths, self.headers = [], [], []
        self.lock = threading.Lock()
        self.url = ""


@contextmanager
def running(server, port=0):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.reply(200, json.dumps({"data": [{"id": "served"}]}).encode())

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with server.lock:
                number = len(server.bodies)
                server.bodies.append(body)
                server.paths.append(self.path)
                server.headers.append(dict(self.headers))
            misbehave = server.misbehave(number, body)
            if misbehave is not None:
                misbehave(self)
            else:
                self.reply(200, json.dumps(server.answer(body)).encode())

        def reply(self, code, content, headers=None):
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64  # the default of 5 resets connections that come at once

        def handle_error(self, request, client_address):
            pass

    host = Quiet(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=host.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    server.url = f"http://127.0.0.1:{host.server_port}/v1"
    try:
        yield server
    finally:
        host.shutdown()
        host.server_close()
        thread.join()
