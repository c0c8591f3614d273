"""The part of ``llm_server`` that takes batches: files in, a batch of them, its state, files out.

Each request of a batch is answered as if it had been asked, with its own misfortunes (``{{429}}``), after the server's latency. A prompt may also
order a misfortune of the batch that it is in:

    {{batch-expired}}     it is not done in time, and the batch expires; the other requests are done
    {{batch-cancelled}}   likewise cancelled
    {{batch-failed code=invalid_json times=1}}    the batch is turned down as a whole
    {{batch-missing}}     the batch is done, with no line for it
    {{batch-unheard times=1}}      the batch is taken, and the connection cut before the answer
    {{batch-cut times=1}}          the file of answers breaks off in the middle
    {{batch-unreadable}}           its line in the file of answers is half a line
"""

from __future__ import annotations

import asyncio
import email
import json
import re
import time
import uuid
from typing import Any

from llm_server import ORDER, Cut, Request, error, head, parse, send, send_json, text_of


class _Captured:
    """In place of a connection: keeps what would be sent."""

    def __init__(self) -> None:
        self.content = b""

    def write(self, content: bytes) -> None:
        self.content += content

    async def drain(self) -> None:
        pass


class Batches:
    """Files and batches of one server."""

    def __init__(self, server: Any) -> None:
        self.server = server
        self.files: dict[str, tuple[str, bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.ends: dict[str, str] = {}
        """batch -> status in place of completed"""
        self.by_key: dict[str, str] = {}
        """custom_id -> prompt"""
        self.tasks: set[asyncio.Task[None]] = set()
        self.routes = {
            "POST /v1/files": self.upload,
            "GET /v1/files": self.list_files,
            "GET /v1/files/": self.download,
            "DELETE /v1/files/": self.delete,
            "POST /v1/batches": self.create,
            "GET /v1/batches": self.list_batches,
            "GET /v1/batches/": self.state,
        }

    async def upload(self, request: Request) -> None:
        form = email.message_from_bytes(f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode() + request.content)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.get_payload()}
        assert parts["purpose"].get_payload(decode=True) == b"batch"
        name = parts["file"].get_filename()
        await send_json(request, 200, self.file(name, parts["file"].get_payload(decode=True)))

    def file(self, name: str, content: bytes) -> dict[str, Any]:
        file_id = f"file-{uuid.uuid4().hex}"
        self.files[file_id] = (name, content)
        return {"id": file_id, "object": "file", "bytes": len(content), "filename": name, "purpose": "batch"}

    async def list_files(self, request: Request) -> None:
        data = [{"id": file_id, "filename": name, "bytes": len(content)} for file_id, (name, content) in self.files.items()]
        await send_json(request, 200, {"object": "list", "data": data, "has_more": False})

    async def download(self, request: Request) -> None:
        found = self.files.get(request.path.split("/")[3])
        if found is None:
            return await send_json(request, 404, error("No such File object", "invalid_request_error"))
        content = found[1]
        for key in re.findall(rb'"custom_id": "(\w+)"', content):
            if self.ordered(key.decode(), "batch-cut") is not None:
                request.writer.write(head(200, len(content)) + content[: len(content) // 2])
                await request.writer.drain()
                raise Cut
        return await send(request, 200, content, kind="application/octet-stream")

    async def delete(self, request: Request) -> None:
        file_id = request.path.split("/")[3]
        known = self.files.pop(file_id, None)
        await send_json(request, 200 if known else 404, {"id": file_id, "deleted": bool(known)})

    async def create(self, request: Request) -> None:
        body = request.body
        _, content = self.files[body["input_file_id"]]
        lines = [json.loads(line) for line in content.splitlines()]
        batch = {
            "id": f"batch_{uuid.uuid4().hex}",
            "object": "batch",
            "input_file_id": body["input_file_id"],
            "metadata": body.get("metadata"),
            "status": "in_progress",
            "created_at": int(time.time()),
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        self.batches[batch["id"]] = batch
        for line in lines:
            self.by_key[line["custom_id"]] = text_of(line["body"]["messages"][0]["content"])
        failing = [more for line in lines if (more := self.ordered(line["custom_id"], "batch-failed")) is not None]
        if failing:
            batch["status"] = "failed"
            batch["errors"] = {"object": "list", "data": [{"code": failing[0].get("code", "invalid"), "message": "no", "line": 1}]}
        else:
            task = asyncio.create_task(self.work(batch, lines))
            self.tasks.add(task)
        if any(self.ordered(line["custom_id"], "batch-unheard") is not None for line in lines):
            raise Cut
        await send_json(request, 200, batch)

    def ordered(self, key: str, what: str) -> dict[str, str] | None:
        """What more was ordered of this misfortune, None if it was not; counts it."""
        prompt = self.by_key.get(key, "")
        found = ORDER.search(prompt)
        words, more = parse(found[1]) if found else ([], {})
        if words[:1] != [what]:
            return None
        self.server.tries[prompt + what] += 1
        return more if self.server.tries[prompt + what] <= int(more.get("times", 1_000_000)) else None

    async def work(self, batch: dict[str, Any], lines: list[dict[str, Any]]) -> None:
        done = await asyncio.gather(*(self.one(batch, line) for line in lines))
        for which in ("output_file_id", "error_file_id"):
            content = b"".join(self.written(line) for file, line in done if file == which)
            if content:
                batch[which] = self.file(f"{which}.jsonl", content)["id"]
        batch["status"] = self.ends.get(batch["id"], "completed")

    def written(self, line: dict[str, Any]) -> bytes:
        text = json.dumps(line)
        is_whole = self.ordered(line["custom_id"], "batch-unreadable") is None
        return f"{text if is_whole else text[: len(text) // 2]}\n".encode()

    async def one(self, batch: dict[str, Any], line: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        key = line["custom_id"]
        for word in ("expired", "cancelled"):
            if self.ordered(key, f"batch-{word}") is not None:
                self.ends[batch["id"]] = word
                lost = {"code": f"batch_{word}", "message": "This request could not be executed before the completion window expired."}
                return "error_file_id", {"id": f"batch_req_{key[:8]}", "custom_id": key, "response": None, "error": lost}
        if self.ordered(key, "batch-missing") is not None:
            return "", {}
        writer = _Captured()
        request = Request("POST", line["url"], "", {"authorization": f"Bearer {self.server.options.key}"}, b"", writer, line["body"])  # type: ignore[arg-type]
        request.order = self.server.ordered(request)
        self.server.log.write(json.dumps({"path": "batch", "prompt": request.prompt, "key": key, "at": time.time()}) + "\n")
        self.server.log.flush()
        try:
            await self.server.chat(request)
            first, _, content = writer.content.partition(b"\r\n\r\n")
            status, body = int(first.split()[1]), json.loads(content)
        except (Cut, ValueError):
            status, body = 500, error("the server had an error", "server_error")
        batch["request_counts"]["completed" if status == 200 else "failed"] += 1
        answer = {"id": f"batch_req_{key[:8]}", "custom_id": key, "response": {"status_code": status, "request_id": "r", "body": body}, "error": None}
        return "output_file_id" if status == 200 else "error_file_id", answer

    async def list_batches(self, request: Request) -> None:
        wanted = dict(pair.split("=") for pair in request.query.split("&") if pair)
        newest = list(reversed(self.batches.values()))
        start = 1 + next((number for number, batch in enumerate(newest) if batch["id"] == wanted.get("after")), -1)
        page = newest[start : start + 3]  # far fewer than are asked for: whoever lists must turn pages
        await send_json(request, 200, {"object": "list", "data": page, "has_more": start + 3 < len(newest)})

    async def state(self, request: Request) -> None:
        found = self.batches.get(request.path.split("/")[3])
        await send_json(request, 200 if found else 404, found or error("No batch found", "invalid_request_error"))
