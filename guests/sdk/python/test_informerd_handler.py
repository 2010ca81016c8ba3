"""What is SDK in a handler: `python -m unittest`. What the host does is shown by the conformance suite."""

import unittest

import informerd_handler as informerd
from informerd_handler import Key, Watch, cache, config, log, testing
from informerd_handler._bindings import Err, types


def pod(name, namespace="demo", **more):
    about = {"namespace": namespace, "name": name, "uid": "u", "resourceVersion": "7"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, **more}


def key_of(ticket):
    return types.ObjectKey(**vars(testing.objects.key(ticket)))


class Fails(informerd.Handler):
    """Raises what it is told."""

    failure = None

    @staticmethod
    def watches():
        return [Watch("apps/v1", "Deployment", ["demo"], "app=web")]

    def __init__(self):
        if config.get("refuse"):
            raise informerd.ConfigError("no")

    def on_add(self, object, is_in_initial_list):
        log.info(f"{object.key} {is_in_initial_list}")
        if self.failure:
            raise self.failure


class Exported(unittest.TestCase):
    def setUp(self):
        testing.reset()
        Fails.failure = None
        self.export = informerd.export(Fails)

    @property
    def exported(self):
        """A new one for each call, as componentize-py makes it."""
        return self.export()

    def add(self):
        self.exported.init()
        ticket = testing.ticket(pod("a"))
        self.exported.on_add(key_of(ticket), ticket, True)

    def failure(self):
        with self.assertRaises(Err) as raised:
            self.add()
        return raised.exception.value

    def test_what_is_handled_is_no_failure(self):
        self.add()
        self.assertEqual(testing.take_log()[0].message, "demo/a True")

    def test_what_is_left_out_does_nothing(self):
        self.exported.init()
        ticket = testing.ticket(pod("a"))
        self.exported.on_update(key_of(ticket), ticket, ticket)
        self.exported.on_delete(key_of(ticket), ticket, False)
        self.exported.on_synced()
        self.assertEqual(testing.take_log(), [])

    def test_watches_are_those_of_the_contract(self):
        watch = types.Watch("apps/v1", "Deployment", ["demo"], "app=web", "")
        self.assertEqual(self.exported.watches(), [watch])

    def test_failures_are_those_of_the_contract(self):
        Fails.failure = informerd.Retry("later", after_ms=5)
        self.assertEqual(self.failure(), types.Failure_Retry(types.Retry(5, "later")))
        Fails.failure = informerd.Retry("whenever")
        self.assertEqual(self.failure(), types.Failure_Retry(types.Retry(None, "whenever")))
        Fails.failure = informerd.Permanent("never")
        self.assertEqual(self.failure(), types.Failure_Permanent("never"))
        Fails.failure = informerd.CacheError("no such index")
        self.assertEqual(self.failure(), types.Failure_Permanent("no such index"))

    def test_a_refused_configuration_is_an_error_and_a_bug_is_not(self):
        testing.reset({"refuse": True})
        with self.assertRaises(Err) as raised:
            self.exported.init()
        self.assertEqual(raised.exception.value, "no")
        testing.reset()
        Fails.failure = KeyError("bug")
        with self.assertRaises(KeyError):
            self.add()

    def test_a_notification_that_there_is_not_is_found_when_the_module_is_built(self):
        class Typo(informerd.Handler):
            def on_deleted(self, last):
                pass

        with self.assertRaisesRegex(TypeError, "Typo.on_deleted"):
            informerd.export(Typo)


class Reads(unittest.TestCase):
    def setUp(self):
        testing.reset({"a": [1, "ü"], "b": "text"})

    def test_values(self):
        object = testing.object(pod("a", spec={"text": "ü", "a/b~c": [None, 2]}))
        self.assertEqual(object.get("/spec/text"), '"ü"')
        self.assertEqual(object.get_string("/spec/text"), "ü")
        self.assertEqual(object.get_string("/spec/a~1b~0c/1"), None)
        self.assertEqual(object.get("/spec/a~1b~0c/0"), "null")
        self.assertEqual(object.value("/spec/a~1b~0c"), [None, 2])
        self.assertEqual(object.value("/spec/none", 3), 3)
        self.assertEqual(object.parse()["spec"]["text"], "ü")
        self.assertEqual(object.key, Key("", "v1", "Pod", "demo", "a", "u", "7"))

    def test_keys(self):
        self.assertEqual(Key("apps", "v1", "Deployment", None, "a", "", "").api_version, "apps/v1")
        self.assertEqual(Key("", "v1", "Node", None, "a", "", "").api_version, "v1")
        self.assertEqual(str(Key("", "v1", "Node", None, "a", "", "")), "a")

    def test_configuration(self):
        self.assertEqual(config.get("a"), '[1,"ü"]')
        self.assertEqual((config.get("c"), config.get_string("a")), (None, None))
        self.assertEqual(config.get_string("b"), "text")
        self.assertEqual(config.parse(), {"a": [1, "ü"], "b": "text"})

    def test_fields_that_are_no_strings_are_json(self):
        log.warn("a", message="b", yes=True, none=None, **{"/ü": ["ü"]})
        line = testing.take_log()[0]
        self.assertEqual((line.level, line.message), (testing.Level.WARN, "a"))
        self.assertEqual(line.fields, {"message": "b", "yes": "true", "none": "null", "/ü": '["ü"]'})


class Cache(unittest.TestCase):
    def setUp(self):
        testing.reset()
        for name in ["c", "a", "b"]:
            testing.object(pod(name))
        testing.object(pod("d", namespace="other"))

    def test_pages_are_given_back_before_the_next_one(self):
        names, before = [], []
        for page in cache.pages("v1", "Pod", size=3):
            for object in before:
                with self.assertRaisesRegex(AssertionError, "given back"):
                    object.json()
            names.append([object.key.name for object in page])
            before = page
        self.assertEqual(names, [["a", "b", "c"], ["d"]])
        self.assertEqual([len(page) for page in cache.pages("v1", "Pod", namespace="other")], [1])

    def test_a_page_that_is_left_is_given_back(self):
        for page in cache.pages("v1", "Pod", size=1):
            break
        with self.assertRaisesRegex(AssertionError, "given back"):
            page[0].get("/a")

    def test_what_is_there_and_what_is_not(self):
        self.assertEqual(cache.get("v1", "Pod", "other", "d").key.name, "d")
        self.assertIsNone(cache.get("v1", "Pod", "demo", "d"))

    def test_errors_are_permanent_failures(self):
        with self.assertRaisesRegex(informerd.Permanent, "no indices"):
            next(cache.pages_by_index("v1", "Pod", "owner", "u"))


if __name__ == "__main__":
    unittest.main()
