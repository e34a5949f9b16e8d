//! Plans as files.
use super::{ClientPlan, Plan};
use crate::container::{ContainerError, PlanId};
use thiserror::Error;

/// Why a plan file is refused.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PlanError {
    /// The container is bad.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// The content contradicts itself.
    #[error("the plan is malformed: {0}")]
    Malformed(String),
}

/// The bytes of `server.plan`, and the plan's id.
pub fn plan_to_bytes(_plan: &Plan) -> (Vec<u8>, PlanId) {
    (vec![], PlanId::default())
}

/// Reads and verifies `server.plan`.
pub fn plan_from_bytes(_bytes: &[u8]) -> Result<(Plan, PlanId), PlanError> {
    Err(PlanError::Malformed("not written".into()))
}

/// The bytes of `client.plan`.
pub fn client_plan_to_bytes(_plan: &ClientPlan) -> Vec<u8> {
    vec![]
}

/// Reads and verifies `client.plan`.
pub fn client_plan_from_bytes(_bytes: &[u8]) -> Result<ClientPlan, PlanError> {
    Err(PlanError::Malformed("not written".into()))
}
