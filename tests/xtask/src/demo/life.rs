//! The scripted life: what is told, which manifests change, and what the host then has to say.

use super::expectations::ExpectedLine;

/// One thing that happens.
pub(crate) struct Step {
    /// What happens and what to watch for.
    pub(crate) narration: &'static str,
    /// Files in the manifests folder; no content removes one.
    pub(crate) edits: &'static [(&'static str, Option<&'static str>)],
    pub(crate) expected: &'static [ExpectedLine],
}

/// The manifests that are there before the host.
pub(crate) const START: [(&str, &str); 5] = [
    ("namespace.yaml", include_str!("../../demo/namespace.yaml")),
    ("web.yaml", include_str!("../../demo/web-is-pending.yaml")),
    ("worker.yaml", include_str!("../../demo/worker-runs.yaml")),
    ("nightly.yaml", include_str!("../../demo/nightly.yaml")),
    ("config.yaml", include_str!("../../demo/config.yaml")),
];

/// What makes the guest `trap`, which declares no watches, a handler.
pub(crate) const TRAP_SPEC: &str = include_str!("../../demo/trap-handler.yaml");

/// The host's start.
pub(crate) const STARTED: Step = Step {
    narration: "Starting the host with three handlers. Watch for OnAdd with initial=true: each \
                handler\nis told what is there already, three pods or two config maps, then \
                OnSynced.",
    edits: &[],
    expected: &[
        &["embedded API server", "http://"],
        &["/readyz", "address="],
        &["OnAdd", "pod-reporter", "shop/web", "initial=true"],
        &["OnAdd", "config-map-diff", "shop/prices", "initial=true"],
        &["OnSynced", "pod-reporter"],
        &["OnSynced", "config-map-diff"],
        &["OnSynced", "\"trap\""],
    ],
};

/// What happens then.
pub(crate) const LIFE: &[Step] = &[
    Step {
        narration: "Pod web starts to run (web.yaml is edited). Watch for OnUpdate, and for \
                    pod-reporter's table of phases.",
        edits: &[("web.yaml", Some(include_str!("../../demo/web-runs.yaml")))],
        expected: &[&["OnUpdate", "pod-reporter", "shop/web"], &["2 Running", "1 Succeeded"]],
    },
    Step {
        narration: "Pod worker crash-loops. Watch for the warning that pod-reporter logs.",
        edits: &[("worker.yaml", Some(include_str!("../../demo/worker-crash-loops.yaml")))],
        expected: &[
            &["OnUpdate", "pod-reporter", "shop/worker"],
            &["WARN", "shop/worker is crash-looping"],
        ],
    },
    Step {
        narration: "A new pod, mailer, cannot get its image. Watch for OnAdd, this time without \
                    initial=true.",
        edits: &[("mailer.yaml", Some(include_str!("../../demo/mailer-lacks-image.yaml")))],
        expected: &[
            &["OnAdd", "pod-reporter", "shop/mailer"],
            &["WARN", "shop/mailer is stuck pulling an image"],
        ],
    },
    Step {
        narration: "Config map settings gets other keys. Watch for config-map-diff, which compares \
                    old and new.",
        edits: &[("config.yaml", Some(include_str!("../../demo/config-has-other-keys.yaml")))],
        expected: &[
            &["OnUpdate", "config-map-diff", "shop/settings"],
            &["OnUpdate", "\"trap\"", "shop/settings"],
        ],
    },
    Step {
        narration: "A config map arrives that crashes the handler trap, and crashes it again on \
                    its one retry:\nit becomes a dead letter. Watch config-map-diff get the same \
                    OnAdd and notice nothing.",
        edits: &[("trap-me.yaml", Some(include_str!("../../demo/trap-me.yaml")))],
        expected: &[
            &["OnAdd", "config-map-diff", "shop/trap-me", "ok"],
            &["OnAdd", "\"trap\"", "shop/trap-me", "attempt=1", "trapped"],
            &["OnAdd", "\"trap\"", "shop/trap-me", "attempt=2", "trapped"],
        ],
    },
    Step {
        narration: "Config map prices goes away (its document in config.yaml). Watch for OnDelete, \
                    and that trap is alive again.",
        edits: &[("config.yaml", Some(include_str!("../../demo/config-without-prices.yaml")))],
        expected: &[
            &["OnDelete", "config-map-diff", "shop/prices", "ok"],
            &["OnDelete", "\"trap\"", "shop/prices", "ok"],
        ],
    },
    Step {
        narration: "Pod nightly is deleted (nightly.yaml is removed).",
        edits: &[("nightly.yaml", None)],
        expected: &[&["OnDelete", "pod-reporter", "shop/nightly"]],
    },
];

/// What the host says last.
pub(crate) const AT_THE_END: &[ExpectedLine] = &[
    &["summary"],
    &["handler pod-reporter", " 0 failed"],
    &["handler config-map-diff", " 0 failed"],
    &["handler trap", " 2 failed"],
    &["dead letter shop/trap-me"],
    &["informer v1 Pod"],
    &["informer v1 ConfigMap"],
];
