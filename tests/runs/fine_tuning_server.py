"""A fine-tuning service on this machine: files and jobs in the form of OpenAI's API, with the faults of real ones.

It checks what it is sent (the key, multipart bodies, chat lines, known files) and answers as the service does. A job
goes on by one state with every look at it.
"""

from __future__ import annotations

import email
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-test-7c1d"
STATES = ("validating_files", "queued", "running", "succeeded")


@dataclass
class Service:
    """What the service holds, and the faults to come: (method and path, status or "lost"), used up one by one."""

    faults: list[tuple[str, int | str]] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    breaks: bool = False
    """Jobs fail in the end."""


class Refused(Exception):
    """The request is answered with an error: status, message, code."""


def make_handler(service: Service) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.serve("GET")

        def do_POST(self) -> None:
            self.serve("POST")

        def serve(self, method: str) -> None:
            path = self.path.partition("?")[0]
            body = self.rfile.read(int(self.headers["Content-Length"] or 0))
            service.requests.append(f"{method} {path}")
            fault = next((one for one in service.faults if re.fullmatch(one[0], f"{method} {path}")), None)
            if fault:
                service.faults.remove(fault)
            try:
                if fault and isinstance(fault[1], int):
                    raise Refused(fault[1], "the service is busy" if fault[1] >= 429 else "no", "busy")
                if self.headers["Authorization"] != f"Bearer {KEY}":
                    raise Refused(401, f"Incorrect API key: {self.headers['Authorization']}", "invalid_api_key")
                answer = self.route(method, path, body)
            except Refused as refusal:
                status, message, code = refusal.args
                error = {"message": message, "type": "error", "param": None, "code": code}
                self.answer(status, {"error": error})
                return
            if fault:  # the work is done, and the answer is lost on the way
                self.close_connection = True
                self.connection.close()
                return
            self.answer(200, answer)

        def answer(self, status: int, values: dict[str, Any]) -> None:
            text = json.dumps(values).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.send_header("retry-after-ms", "10")
            self.end_headers()
            self.wfile.write(text)

        def route(self, method: str, path: str, body: bytes) -> dict[str, Any]:
            parts = path.removeprefix("/v1/").split("/")
            if (method, parts) == ("POST", ["files"]):
                return add_file(service, self.headers["Content-Type"], body)
            if parts[:2] != ["fine_tuning", "jobs"]:
                raise Refused(404, f"no such path: {path}", None)
            if len(parts) == 2:
                listed = list(service.jobs.values())[::-1]
                return add_job(service, json.loads(body)) if method == "POST" else listing(listed)
            job = service.jobs.get(parts[2])
            if job is None:
                raise Refused(404, f"no such job: {parts[2]}", None)
            if parts[3:] == ["cancel"]:
                job["status"] = "cancelled"
            elif parts[3:] == ["events"]:
                return listing(events(job))
            elif job["status"] in STATES[:-1]:
                go_on(service, job)
            return job

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


def add_file(service: Service, kind: str, body: bytes) -> dict[str, Any]:
    form = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    fields = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
    if fields["purpose"].get_payload(decode=True) != b"fine-tune":
        raise Refused(400, "the purpose must be fine-tune", "invalid_purpose")
    content = fields["file"].get_payload(decode=True)
    for number, line in enumerate(content.decode().splitlines(), 1):
        if [message["role"] for message in json.loads(line)["messages"]][-1] != "assistant":
            raise Refused(400, f"line {number} has no answer", "invalid_file_format")
    identity = f"file-{len(service.files) + 1}"
    service.files[identity] = content
    name = fields["file"].get_filename()
    return {
        "id": identity,
        "object": "file",
        "bytes": len(content),
        "created_at": int(time.time()),
        "filename": name,
        "purpose": "fine-tune",
        "status": "processed",
    }


def add_job(service: Service, wanted: dict[str, Any]) -> dict[str, Any]:
    for key in ("training_file", "validation_file"):
        if key in wanted and wanted[key] not in service.files:
            raise Refused(400, f"no such file: {wanted[key]}", "invalid_training_file")
    if wanted["model"] == "no-such-model":
        raise Refused(404, "the model doesn't exist", "model_not_found")
    identity = f"ftjob-{len(service.jobs) + 1}"
    service.jobs[identity] = wanted | {
        "id": identity,
        "object": "fine_tuning.job",
        "created_at": int(time.time()),
        "status": STATES[0],
        "organization_id": "org-1",
        "result_files": [],
        "hyperparameters": wanted["method"]["supervised"]["hyperparameters"],
        "fine_tuned_model": None,
        "trained_tokens": None,
        "error": None,
        "validation_file": wanted.get("validation_file"),
    }
    return service.jobs[identity]


def go_on(service: Service, job: dict[str, Any]) -> None:
    job["status"] = STATES[STATES.index(job["status"]) + 1]
    if job["status"] == "succeeded" and service.breaks:
        job.update(status="failed", error={"code": "bad_data", "message": "the loss is no number", "param": None})
    elif job["status"] == "succeeded":
        epochs = job["hyperparameters"]["n_epochs"]
        job["fine_tuned_model"] = f"ft:{job['model']}:{job['suffix']}:1"
        job["trained_tokens"] = epochs * len(service.files[job["training_file"]].split())


def events(job: dict[str, Any]) -> list[dict[str, Any]]:
    count = STATES.index(job["status"]) + 1 if job["status"] in STATES else len(STATES)
    made = [
        {"id": f"e{place}", "object": "fine_tuning.job.event", "created_at": 1, "level": "info", "message": f"now {s}"}
        for place, s in enumerate(STATES[:count])
    ]
    return made[::-1]


def listing(values: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": values, "has_more": False}


@contextmanager
def serve(service: Service) -> Iterator[Service]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), make_handler(service))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    service.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
