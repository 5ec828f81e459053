# Forebay, a shop. A browser that comes here is shown its pages; this is the same by hand. Each line can be typed, and all
# of them together are a script: curl -s http://127.0.0.1:8080 | sh

SHOP=http://127.0.0.1:8080
field() { sed "s/.*\"$1\":\"\([^\"]*\)\".*/\1/"; }

# 1. What sells best?
curl -sf "$SHOP/v1/products?sort=popular&limit=3"; echo

# 2. Log in, as somebody of the seed. The token is good for ten minutes.
TOKEN=$(curl -sf "$SHOP/v1/auth/login" -H 'Content-Type: application/json' -d '{"email":"user00001@example.test","password":"correct-horse-battery"}' | field access_token)

# 3. A cart, which its token opens.
CART=$(curl -sf -X POST "$SHOP/v1/carts"); CART_ID=$(echo "$CART" | field id) CART_TOKEN=$(echo "$CART" | field cart_token)

# 4. Two of something; and what is in the cart now, and what it costs.
CART=$(curl -sf -X PUT "$SHOP/v1/carts/$CART_ID/items/SKU-000001" -H "X-Cart-Token: $CART_TOKEN" -H 'Content-Type: application/json' -d '{"quantity":2}'); echo "$CART"
VERSION=$(echo "$CART" | sed 's/.*"version":\([0-9]*\).*/\1/') TOTAL=$(echo "$CART" | sed 's/.*"total":\({[^}]*}\).*/\1/')

# 5. Buy it, at that price. The same key sent again is the same order, not a second one.
curl -sf "$SHOP/v1/orders" -H "Authorization: Bearer $TOKEN" -H "X-Cart-Token: $CART_TOKEN" -H "Idempotency-Key: $CART_ID" -H 'Content-Type: application/json' -d "{\"cart_id\":\"$CART_ID\",\"cart_version\":$VERSION,\"expected_total\":$TOTAL,\"payment_token\":\"tok_ok\",\"address\":{\"name\":\"Ada\",\"line1\":\"1 Mill Lane\",\"city\":\"Ulm\",\"postal_code\":\"89073\",\"country\":\"DE\"}}"; echo

# The whole API: http://127.0.0.1:8080/docs
