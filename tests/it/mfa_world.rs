//! The person with the MFA device in a world where rotations go wrong.

use std::rc::Rc;

use awskeep::aws::{Call, MfaDevice, prove};
use awskeep::error::Result;
use awskeep::sessions::denial::Expected;
use awskeep::sessions::obtain::{Code, CodeSource, Opens};
use awskeep::types::keys::{AccessKey, Secret};

use crate::rotation_world::World;

pub struct Person(pub Rc<World>);

impl CodeSource for Person {
    fn expected(&self) -> Expected {
        Expected::NotSaid
    }

    fn opens(&self) -> Opens {
        Opens::WhenNeeded
    }

    fn code(
        &self,
        key: &AccessKey,
        devices: &dyn Fn() -> Call<Vec<MfaDevice>>,
    ) -> Result<Option<Code>> {
        if !self.0.person.get() {
            return Ok(None);
        }
        let device = device(key, devices)?;
        Ok(Some(self.0.next_code(device)))
    }
}

/// The user's one MFA device.
pub fn device(key: &AccessKey, devices: &dyn Fn() -> Call<Vec<MfaDevice>>) -> Result<String> {
    let devices = devices().map_err(|no| prove::refused(key, "IAM", &no))?;
    Ok(devices.value[0].serial.clone())
}

impl World {
    /// What the device shows now; it shows no code twice.
    pub fn next_code(&self, serial: String) -> Code {
        self.codes.set(self.codes.get() + 1);
        let digits = Secret::new(format!("{:06}", self.codes.get()));
        Code { serial, digits }
    }
}
