//! Which sentinels are known.

use super::*;
use crate::access::ServerAccess;

#[test]
fn sentinels_that_come_and_go_are_known_while_they_are_there() {
    let config = Config::parse("redis+sentinel://s/mymaster", ServerAccess::default());
    let config = Arc::new(config.expect("a URL"));
    let (timeout, spawn): (_, Spawn) = (Duration::from_secs(5), Arc::new(drop));
    let sentinels = Sentinels::new(&config, "mymaster", &"client".into(), timeout, spawn);
    for number in 0..40 {
        let others = [Address::announced(&format!("10.0.0.{number}"), 26_379)];
        assert_eq!(sentinels.get_to_know(&others).len(), 1, "{number}");
        for sentinel in &*lock(&sentinels.known) {
            sentinel.fail();
        }
        // Whoever may not be told of others does without.
        sentinels.get_to_know(&[]);
        assert_eq!(
            lock(&sentinels.known).len(),
            2,
            "the one of the URL, and this"
        );
    }
    sentinels.close();
    let others = [Address::announced("10.0.1.0", 26_379)];
    assert!(sentinels.get_to_know(&others).is_empty());
}
