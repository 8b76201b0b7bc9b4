"""Whether an exchange is allowed: agreements between partners, and safeguards above them."""
