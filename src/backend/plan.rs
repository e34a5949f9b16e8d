//! Plans of either backend.

#[cfg(feature = "tfhe")]
use super::no_public_key;
use super::{AnyClientPlan, AnyServerPlan, is_tfhe};
use crate::data::PortSpec;
use crate::{ClientPlan, CostModel, Error, ServerPlan};
#[cfg(feature = "tfhe")]
use cipherloom_ir::integer::{integer_client_plan_from_bytes, integer_client_plan_to_bytes};
use cipherloom_ir::plan::{client_plan_from_bytes, client_plan_to_bytes};
use cipherloom_ir::tensor::Module;
#[cfg(feature = "tfhe")]
use cipherloom_runtime::TfheServerPlan;

impl AnyClientPlan {
    /// Reads and verifies the bytes of `client.plan`.
    ///
    /// # Errors
    /// A file that is damaged, of another kind, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "tfhe")]
        if is_tfhe(bytes)? {
            return Ok(Self::Tfhe(integer_client_plan_from_bytes(bytes)?));
        }
        is_tfhe(bytes)?;
        Ok(Self::Ckks(client_plan_from_bytes(bytes)?))
    }

    /// The bytes of `client.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ckks(plan) => client_plan_to_bytes(plan),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => integer_client_plan_to_bytes(plan),
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.inputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.inputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// The names of the inputs that are given in clear.
    pub fn clear_inputs(&self) -> Vec<&str> {
        match self {
            Self::Ckks(plan) => {
                let clear = plan.inputs.iter().filter(|port| port.clear);
                clear.map(|port| port.name.as_str()).collect()
            }
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => vec![],
        }
    }

    /// The model's outputs.
    pub fn results(&self) -> Vec<PortSpec> {
        let results = match self {
            Self::Ckks(plan) => plan.results(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.results(),
        };
        results.iter().map(PortSpec::from).collect()
    }

    /// The plan, for encryption with a public key.
    ///
    /// # Errors
    /// A plan of the TFHE backend, which has no public keys.
    pub fn for_public_key(self) -> Result<ClientPlan, Error> {
        match self {
            Self::Ckks(plan) => Ok(plan),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => Err(no_public_key()),
        }
    }

    /// The id of the server's plan.
    pub fn plan_id(&self) -> String {
        match self {
            Self::Ckks(plan) => plan.plan_id.to_string(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan_id.to_string(),
        }
    }
}

impl AnyServerPlan {
    /// Reads and verifies the bytes of `server.plan`.
    ///
    /// # Errors
    /// A file that is damaged, of another kind, or malformed.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        #[cfg(feature = "tfhe")]
        if is_tfhe(bytes)? {
            return Ok(Self::Tfhe(TfheServerPlan::from_bytes(bytes)?));
        }
        is_tfhe(bytes)?;
        Ok(Self::Ckks(ServerPlan::from_bytes(bytes)?))
    }

    /// The bytes of `server.plan`.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Ckks(plan) => plan.to_bytes(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.to_bytes(),
        }
    }

    /// The bootstraps of one sample; none with the CKKS backend.
    pub fn bootstraps(&self) -> usize {
        match self {
            Self::Ckks(_) => 0,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().bootstraps() as usize,
        }
    }

    /// The inputs.
    pub fn inputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.plan().inputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().inputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// The model's outputs.
    pub fn results(&self) -> Vec<PortSpec> {
        let results = match self {
            Self::Ckks(plan) => plan.plan().results(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().results(),
        };
        results.iter().map(PortSpec::from).collect()
    }

    /// The encrypted outputs.
    pub(crate) fn outputs(&self) -> Vec<PortSpec> {
        match self {
            Self::Ckks(plan) => plan.plan().outputs.iter().map(PortSpec::from).collect(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().outputs.iter().map(PortSpec::from).collect(),
        }
    }

    /// How many samples one run takes.
    pub fn samples(&self) -> usize {
        match self {
            Self::Ckks(plan) => plan.plan().samples(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(_) => 1,
        }
    }

    /// The imported network up to the encrypted outputs.
    pub fn clear(&self) -> &Module {
        match self {
            Self::Ckks(plan) => &plan.plan().clear,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => &plan.plan().clear,
        }
    }

    /// What the client computes of the decrypted outputs.
    pub fn tail(&self) -> Option<&Module> {
        match self {
            Self::Ckks(plan) => plan.plan().tail.as_ref(),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().tail.as_ref(),
        }
    }

    /// The margin that was applied to ranges.
    pub fn margin(&self) -> f64 {
        match self {
            Self::Ckks(plan) => plan.plan().margin,
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => plan.plan().margin,
        }
    }

    /// Seconds that a run is expected to take on so many threads; the costs are of CKKS.
    pub fn expected_seconds(&self, costs: &CostModel, threads: usize) -> f64 {
        match self {
            Self::Ckks(plan) => costs.seconds(plan.plan(), threads),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => crate::report::integer_seconds(plan.plan(), threads),
        }
    }

    /// What a client needs of it.
    pub fn client_plan(&self) -> AnyClientPlan {
        match self {
            Self::Ckks(plan) => AnyClientPlan::Ckks(plan.client_plan()),
            #[cfg(feature = "tfhe")]
            Self::Tfhe(plan) => AnyClientPlan::Tfhe(plan.client_plan()),
        }
    }
}
