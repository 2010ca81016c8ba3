import unittest

from handler import Greeter
from informerd_handler import testing


def pod(phase):
    about = {"namespace": "demo", "name": "web-1"}
    return testing.object(
        {"apiVersion": "v1", "kind": "Pod", "metadata": about, "status": {"phase": phase}}
    )


def said():
    return [line.message for line in testing.take_log()]


class GreeterTest(unittest.TestCase):
    def test_a_pod_is_greeted_and_followed(self):
        testing.reset()
        greeter = Greeter()
        greeter.on_add(pod("Pending"), False)
        greeter.on_update(pod("Pending"), pod("Pending"))
        greeter.on_update(pod("Pending"), pod("Running"))
        self.assertEqual(said(), ["hello demo/web-1", "demo/web-1 is Running"])

    def test_the_greeting_can_be_configured(self):
        testing.reset({"greeting": "moin"})
        Greeter().on_add(pod("Pending"), True)
        self.assertEqual(said(), ["moin demo/web-1"])


if __name__ == "__main__":
    unittest.main()
