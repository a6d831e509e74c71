"""WebShop (2207.01206): find, choose and buy what an instruction asks for, from products that the user brings."""
