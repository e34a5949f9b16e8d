//! Plans as files: a container of kind [`Kind::ServerPlan`] or [`Kind::ClientPlan`] whose section 0 is a protobuf
//! message (`proto.rs`) and whose sections 1 to 3 hold the large arrays (`sections.rs`).

use super::sections::{Reader, Writer};
use super::{ClientPlan, Fault, Plan, decode, encode, proto, verify, verify_client};
use crate::container::{self, Container, ContainerError, KeyId, Kind, PlanId};
use crate::params::ParameterError;
use prost::Message;
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
    /// The parameters are unsound or too weak.
    #[error("the plan's parameters are refused: {0}")]
    Parameters(#[from] ParameterError),
    /// The TFHE parameter set is none of the published ones.
    #[error("the plan's parameters are refused: {0}")]
    Set(#[from] crate::integer::SetError),
    /// The verifier found faults.
    #[error("the plan is faulty: {}", show(.0))]
    Faulty(Vec<Fault>),
    /// The content is not the one that the plan's id stands for.
    #[error("the plan's content has the id {found}, not {stated}")]
    Id {
        /// The id of the content.
        found: PlanId,
        /// The id in the file's header.
        stated: PlanId,
    },
}

fn show(faults: &[Fault]) -> String {
    let first: Vec<String> = faults.iter().take(3).map(ToString::to_string).collect();
    let more = faults.len().saturating_sub(first.len());
    let more = if more > 0 {
        format!("; and {more} more")
    } else {
        String::new()
    };
    first.join("; ") + &more
}

/// The id of a plan: BLAKE3 over its message, without the estimates and what is there to be drawn, and its arrays.
fn plan_id(message: &proto::ServerPlan, sections: [&[u8]; 3]) -> PlanId {
    let mut meaning = message.clone();
    meaning.estimates = None;
    meaning.approximations.iter_mut().for_each(|a| a.fit = None);
    let header = meaning.encode_to_vec();
    let mut hasher = blake3::Hasher::new_derive_key("cipherloom 2026 plan id v1");
    for part in [&header[..], sections[0], sections[1], sections[2]] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    PlanId(*hasher.finalize().as_bytes())
}

impl Plan {
    /// The plan's id: equal for plans of equal meaning; estimates and the fits of approximations have no part in it.
    pub fn id(&self) -> PlanId {
        let mut writer = Writer::default();
        let message = encode::server_plan(self, &mut writer);
        plan_id(&message, writer.sections())
    }

    /// What a client needs of this plan, whose id is `plan_id` (see [`Plan::id`]).
    pub fn client_plan(&self, plan_id: PlanId) -> ClientPlan {
        ClientPlan {
            plan_id,
            name: self.name.clone(),
            params: self.params.clone(),
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            keys: self.keys.clone(),
            tail: self.tail.clone(),
        }
    }
}

/// The bytes of `server.plan`, and the plan's id.
pub fn plan_to_bytes(plan: &Plan) -> (Vec<u8>, PlanId) {
    let mut writer = Writer::default();
    let message = encode::server_plan(plan, &mut writer);
    let [doubles, singles, indices] = writer.sections();
    let id = plan_id(&message, writer.sections());
    let header = message.encode_to_vec();
    (
        container::write(
            Kind::ServerPlan,
            id,
            KeyId::default(),
            &[&header, doubles, singles, indices],
        ),
        id,
    )
}

/// Reads and verifies `server.plan`.
///
/// # Errors
/// A damaged file, a malformed message, parameters that are weaker than the security table allows, and every plan
/// in which [`verify`] finds a fault.
pub fn plan_from_bytes(bytes: &[u8]) -> Result<(Plan, PlanId), PlanError> {
    let container = Container::read(bytes, Kind::ServerPlan)?;
    let message = proto::ServerPlan::decode(container.section(0)?).map_err(malformed)?;
    let sections = [
        container.section(1)?,
        container.section(2)?,
        container.section(3)?,
    ];
    let found = plan_id(&message, sections);
    if found != container.plan_id {
        return Err(PlanError::Id {
            found,
            stated: container.plan_id,
        });
    }
    let plan = decode::server_plan(message, &mut Reader::new(&container, bytes.len())?)?;
    let faults = verify(&plan);
    if faults.is_empty() {
        Ok((plan, found))
    } else {
        Err(PlanError::Faulty(faults))
    }
}

/// The bytes of `client.plan`.
pub fn client_plan_to_bytes(plan: &ClientPlan) -> Vec<u8> {
    let mut writer = Writer::default();
    let header = encode::client_plan(plan, &mut writer).encode_to_vec();
    let [doubles, singles, indices] = writer.sections();
    container::write(
        Kind::ClientPlan,
        plan.plan_id,
        KeyId::default(),
        &[&header, doubles, singles, indices],
    )
}

/// Reads and verifies `client.plan`.
///
/// # Errors
/// A damaged file, a malformed message, parameters that are weaker than the security table allows, and every plan
/// in which [`verify_client`] finds a fault.
pub fn client_plan_from_bytes(bytes: &[u8]) -> Result<ClientPlan, PlanError> {
    let container = Container::read(bytes, Kind::ClientPlan)?;
    let message = proto::ClientPlan::decode(container.section(0)?).map_err(malformed)?;
    let mut reader = Reader::new(&container, bytes.len())?;
    let plan = decode::client_plan(message, container.plan_id, &mut reader)?;
    let faults = verify_client(&plan);
    if faults.is_empty() {
        Ok(plan)
    } else {
        Err(PlanError::Faulty(faults))
    }
}

fn malformed(error: prost::DecodeError) -> PlanError {
    PlanError::Malformed(format!("its header is no message of the format ({error})"))
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
