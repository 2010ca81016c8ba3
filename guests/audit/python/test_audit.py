"""The audit trail's logic: `PYTHONPATH=../../sdk/python python -m unittest`. That it is the same in every language
is shown by the conformance suite.
"""

import unittest

from informerd_handler import ConfigError, Permanent, Retry, testing
from informerd_handler.testing import Level, Line

from audit import Audit, shown


def node(resource_version="7", uid="u-1", annotations=None, labels=None, **spec):
    about = {"name": "n-1", "uid": uid, "resourceVersion": resource_version}
    about |= {"annotations": annotations or {}, "labels": labels}
    return testing.object({"apiVersion": "v1", "kind": "Node", "metadata": about, "spec": spec})


def asked(request, resource_version="7"):
    return node(resource_version, annotations={"audit.informerd.dev/fail": request})


def audit(**config):
    """A handler that has said that it is ready."""
    testing.reset({"kind": "Node", "report": ["/spec/a", "/spec/ü"], **config})
    handler = Audit()
    testing.take_log()
    return handler


def line():
    lines = testing.take_log()
    assert len(lines) == 1, lines
    return lines[0]


class Lines(unittest.TestCase):
    def test_ready(self):
        testing.reset({"report": ["/a"], "page": 5})
        Audit()
        self.assertEqual(line(), Line(Level.DEBUG, "ready", {"pointers": "1", "page": "5"}))

    def test_added(self):
        handler = audit()
        object = node(labels={"a": "ü", "b": ""}, a=["ü"])
        handler.on_add(object, True)
        expected = {"seq": "1", "uid": "u-1", "resourceVersion": "7", "initial": "true"}
        expected |= {"bytes": str(len(object.json().encode())), "labels": "2"}
        expected |= {"/spec/a": '["ü"]', "/spec/ü": "absent"}
        added = line()
        self.assertEqual(added, Line(Level.INFO, "added n-1", expected))
        self.assertEqual(list(added.fields), list(expected), "in the order of the page")

    def test_updated(self):
        handler = audit()
        handler.on_update(node(a=1), node("8", a=None, ü="x"))
        fields = line().fields
        self.assertEqual(fields["newest"], "true")
        self.assertEqual(fields["/spec/a"], "1 -> null")
        self.assertEqual(fields["/spec/ü"], 'absent -> "x"')

    def test_unchanged(self):
        handler = audit()
        old, new = node(a=1), node("8", a=1, b=2)
        node("9")
        handler.on_update(old, new)
        unchanged = line()
        self.assertEqual((unchanged.level, unchanged.message), (Level.DEBUG, "unchanged n-1"))
        self.assertEqual((unchanged.fields["newest"], "/spec/a" in unchanged.fields), ("false", False))

    def test_deleted(self):
        handler = audit()
        handler.on_delete(node(), True)
        deleted = line()
        self.assertEqual(deleted.message, "deleted n-1")
        self.assertEqual((deleted.fields["finalStateUnknown"], deleted.fields["labels"]), ("true", "0"))

    def test_synced(self):
        handler = audit(kind="Pod", page=2)
        for name in "abc":
            testing.object({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}})
        node()
        handler.on_synced()
        self.assertEqual(line(), Line(Level.INFO, "synced", {"seq": "1", "objects": "3", "pages": "2"}))

    def test_fields_only(self):
        handler = audit(detail="fields")
        handler.on_update(node(a=1), node("8", a=2))
        fields = ["seq", "uid", "resourceVersion", "/spec/a"]
        self.assertEqual(list(line().fields), fields)

    def test_key_only(self):
        handler = audit(detail="key")
        handler.on_update(asked("trap"), asked("permanent", "8"))
        updated = line()
        self.assertEqual((updated.level, updated.message), (Level.INFO, "updated n-1"))
        self.assertEqual(list(updated.fields), ["seq", "uid", "resourceVersion"])

    def test_long_values_are_measured_in_bytes(self):
        self.assertEqual(shown("é" * 128), "é" * 128)
        self.assertEqual(shown("é" * 128 + "x"), "(257 bytes)")


class Failures(unittest.TestCase):
    def test_retries_are_counted_by_state(self):
        handler = audit()
        for state in ["7", "8"]:
            for time in [1, 2]:
                with self.assertRaisesRegex(Retry, f"asked to fail, {time} of 2") as raised:
                    handler.on_add(asked("retry 2", state), False)
                self.assertEqual(raised.exception.after_ms, 1)
            handler.on_add(asked("retry 2", state), False)
        self.assertEqual([it.fields["seq"] for it in testing.take_log()], ["1", "2"])

    def test_permanent_and_trap(self):
        handler = audit()
        with self.assertRaisesRegex(Permanent, "asked to fail for good"):
            handler.on_delete(asked("permanent"), False)
        with self.assertRaisesRegex(RuntimeError, "asked to trap"):
            handler.on_update(node(), asked("trap"))
        self.assertEqual(testing.take_log(), [])

    def test_anything_else_is_ignored(self):
        handler = audit()
        for request in ["", "retry", "retry 0", "retry 10", "retry 1 ", "retry ١", "Trap", 1, None]:
            handler.on_add(asked(request), False)
            self.assertEqual(line().message, "added n-1")


class Configuration(unittest.TestCase):
    def refused(self, text, **config):
        testing.reset(config)
        with self.assertRaisesRegex(ConfigError, text):
            Audit()

    def test_report(self):
        for report in ["/a", [], ["/a"] * 17, ["/a", 1], [["/a"]], {}, ["a"], [""], ['/"'], ["/\\"], ["/\n"]]:
            self.refused("^config.report must be", report=report, detail=1)
        self.refused("^config.report must be")
        audit(report=["/größe/,]["] * 16)

    def test_detail(self):
        for detail in ["", "Key", 1, None]:
            self.refused("^config.detail must be", report=["/a"], detail=detail, page=0)

    def test_page(self):
        for page in [0, 501, -1, 1.5, "2", 10**4000, None]:
            self.refused("^config.page must be", report=["/a"], page=page)
        for page in [1, 500]:
            audit(page=page)

    def test_watched(self):
        testing.reset({"apiVersion": "apps/v1", "kind": "Deployment"})
        watch = Audit.watches()[0]
        self.assertEqual((watch.api_version, watch.kind, watch.namespaces), ("apps/v1", "Deployment", []))


if __name__ == "__main__":
    unittest.main()
