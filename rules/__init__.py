"""The rule book and what it decides; journeys, coupons, redemption and delivery."""
