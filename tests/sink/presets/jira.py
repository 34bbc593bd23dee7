"""Jira Cloud as far as it matters: documents instead of text, a workflow, and a search that lags behind."""

from typing import Any

from tests.sink.presets.systems import Answer, ReceivedCall, System, demand

BLOCKS = {"paragraph", "bulletList", "listItem"}
TRANSITIONS = {"31": "Done", "11": "To Do"}


def check_document(node: Any) -> None:
    """Refuse what is no document of the Atlassian Document Format."""
    demand(node.get("type") == "doc" and node.get("version") == 1, 400, "Operation value must be an ADF document")
    for block in node["content"]:
        demand(block["type"] in BLOCKS, 400, "INVALID_INPUT: unknown block")
        for inner in block["content"]:
            demand(inner["type"] == "text" and inner["text"], 400, "INVALID_INPUT: an empty text")


class Jira(System):
    """One project; a search finds what was there when `index` was last set."""

    index: tuple[str, ...] = ()

    def answer(self, asked: ReceivedCall) -> Answer:
        demand(asked.headers.get("Authorization", "").startswith("Basic "), 401, "not authenticated")
        if asked.path.endswith("/search/jql"):
            found = [self.tickets[name] for name in self.index]
            wanted = asked.query["jql"].removeprefix('labels="').removesuffix('"')
            return 200, {}, {"issues": [row for row in found if wanted in row["fields"]["labels"]]}
        if asked.path.endswith("/issue"):
            return self._create(asked.body["fields"])
        name, what = asked.path.split("/")[-2:]
        row = self.ticket(name)
        if what == "comment":
            check_document(asked.body["body"])
            self.comments[name].append(asked.body["body"]["content"][0]["content"][0]["text"])
            return 201, {}, {"id": "1"}
        demand(what == "transitions", 404, "no such resource")
        demand(asked.body["transition"]["id"] in TRANSITIONS, 400, "the transition does not exist")
        check_document(asked.body["update"]["comment"][0]["add"]["body"])
        row["fields"]["status"] = TRANSITIONS[asked.body["transition"]["id"]]
        return 204, {}, None

    def _create(self, fields: dict[str, Any]) -> Answer:
        demand(fields["project"] == {"key": "CHURN"}, 400, "valid project is required")
        demand(fields["issuetype"]["name"] in {"Task", "Bug"}, 400, "Specify a valid issue type")
        demand(0 < len(fields["summary"]) <= 255 and "\n" not in fields["summary"], 400, "summary")
        demand(fields["priority"]["name"] in {"Highest", "High", "Medium", "Low"}, 400, "priority")
        demand(all(" " not in label for label in fields["labels"]), 400, "labels have no blanks")
        check_document(fields["description"])
        name = self.opened({"fields": {"status": "To Do", **fields}})
        self.tickets[name] |= {"id": name, "key": f"CHURN-{name}"}
        return 201, {}, {"id": name, "key": f"CHURN-{name}", "self": "https://acme.atlassian.net"}
