//! Integer plans as files: containers of kind [`Kind::TfheServerPlan`] or [`Kind::TfheClientPlan`], laid out as CKKS plans are.

use super::{IntegerClientPlan, IntegerPlan, decode, encode, proto, verify, verify_client};
use crate::container::{self, Container, KeyId, Kind, PlanId};
use crate::plan::PlanError;
use crate::plan::sections::{Reader, Writer};
use prost::Message;

/// The id of a plan: BLAKE3 over its message, without the estimates, and its arrays.
fn plan_id(message: &proto::ServerPlan, sections: [&[u8]; 3]) -> PlanId {
    let mut meaning = message.clone();
    meaning.estimates = None;
    let header = meaning.encode_to_vec();
    let mut hasher = blake3::Hasher::new_derive_key("cipherloom 2026 integer plan id v1");
    for part in [&header[..], sections[0], sections[1], sections[2]] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    PlanId(*hasher.finalize().as_bytes())
}

impl IntegerPlan {
    /// The plan's id: equal for plans of equal meaning; estimates have no part in it.
    pub fn id(&self) -> PlanId {
        let mut writer = Writer::default();
        let message = encode::server_plan(self, &mut writer);
        plan_id(&message, writer.sections())
    }

    /// What a client needs of this plan, whose id is `plan_id` (see [`IntegerPlan::id`]).
    pub fn client_plan(&self, plan_id: PlanId) -> IntegerClientPlan {
        IntegerClientPlan {
            plan_id,
            name: self.name.clone(),
            params: self.params,
            log2_failure: self.log2_failure,
            inputs: self.inputs.clone(),
            outputs: self.outputs.clone(),
            tail: self.tail.clone(),
        }
    }
}

/// The bytes of `server.plan`, and the plan's id.
pub fn integer_plan_to_bytes(plan: &IntegerPlan) -> (Vec<u8>, PlanId) {
    let mut writer = Writer::default();
    let message = encode::server_plan(plan, &mut writer);
    let id = plan_id(&message, writer.sections());
    let header = message.encode_to_vec();
    (file(Kind::TfheServerPlan, id, &header, &writer), id)
}

fn file(kind: Kind, id: PlanId, header: &[u8], writer: &Writer) -> Vec<u8> {
    let [doubles, singles, indices] = writer.sections();
    container::write(
        kind,
        id,
        KeyId::default(),
        &[header, doubles, singles, indices],
    )
}

/// Reads and verifies `server.plan`.
///
/// # Errors
/// A damaged file, a malformed message, parameters that are not published ones, and every plan in which [`verify`]
/// finds a fault.
pub fn integer_plan_from_bytes(bytes: &[u8]) -> Result<(IntegerPlan, PlanId), PlanError> {
    let container = Container::read(bytes, Kind::TfheServerPlan)?;
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
pub fn integer_client_plan_to_bytes(plan: &IntegerClientPlan) -> Vec<u8> {
    let mut writer = Writer::default();
    let header = encode::client_plan(plan, &mut writer).encode_to_vec();
    file(Kind::TfheClientPlan, plan.plan_id, &header, &writer)
}

/// Reads and verifies `client.plan`.
///
/// # Errors
/// A damaged file, a malformed message, parameters that are not published ones, and every plan in which
/// [`verify_client`] finds a fault.
pub fn integer_client_plan_from_bytes(bytes: &[u8]) -> Result<IntegerClientPlan, PlanError> {
    let container = Container::read(bytes, Kind::TfheClientPlan)?;
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
