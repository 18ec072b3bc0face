//! The person with the MFA device in a world where rotations go wrong.

use std::rc::Rc;

use awskeep::failure::Outcome;
use awskeep::iam_account::{Call, MfaDevice, prove};
use awskeep::keys::{AccessKey, SecretKey};
use awskeep::rotation::session::{Code, CodeSource, Expected, Opens};

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
    ) -> Outcome<Option<Code>> {
        let world = &self.0;
        if !world.person.get() {
            return Ok(None);
        }
        let devices = devices().map_err(|no| prove::refused(key, "IAM", &no))?;
        world.codes.set(world.codes.get() + 1);
        Ok(Some(Code {
            serial: devices.value[0].serial.clone(),
            digits: SecretKey::new(format!("{:06}", world.codes.get())),
        }))
    }
}
