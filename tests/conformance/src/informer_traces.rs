//! Traces through a whole informer over a scripted ListerWatcher, in virtual time.

use proptest::strategy::{Just, Strategy};
use serde::{Deserialize, Serialize};

use crate::comparison::TraceKind;

pub(crate) struct InformerTraces;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct InformerTrace {}

impl TraceKind for InformerTraces {
    const NAME: &'static str = "informer";
    const PER_RUN: u32 = 0;
    type Trace = InformerTrace;
    type Observation = String;

    fn traces() -> impl Strategy<Value = InformerTrace> {
        Just(InformerTrace {})
    }

    fn run(_trace: &mut InformerTrace) -> anyhow::Result<Vec<String>> {
        anyhow::bail!("informer traces are not run yet")
    }
}
