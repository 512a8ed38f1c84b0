"""What hears devices: frames, the consent filter, batches and the uplink; and the simulated crowd."""
