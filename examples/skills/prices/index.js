// Prices: one tool that asks a web service.
//
// The manifest asks for a host and an environment value. The user grants them; everything else is refused.
// To use a service of your own, set PRICES_URL and grant its host (a private or loopback one needs an explicit grant).

var DEFAULT_URL = 'https://prices.example.com';

function baseUrl() {
  // An absent or ungranted environment value is an empty string.
  return (platform.env('PRICES_URL') || DEFAULT_URL).replace(/\/+$/, '');
}

function failure(message) {
  return JSON.stringify({ success: false, error: message });
}

// GET {base}/prices/{symbol} answers {"symbol": "BTC", "price": 64250.5, "currency": "USD", "as_of": "2026-01-31T12:00:00Z"}.
function getPrice(args) {
  var symbol = String(args.symbol || '').trim().toUpperCase();
  if (!/^[A-Z0-9.\-]{1,20}$/.test(symbol)) {
    return failure('`symbol` must be a ticker such as BTC.');
  }
  var base = baseUrl();
  var response;
  try {
    // Looks synchronous: while the request is on its way the host runs other skills on this thread.
    // `timeout` is in seconds.
    response = net.fetch(base + '/prices/' + encodeURIComponent(symbol), {
      headers: { accept: 'application/json' },
      timeout: 15,
    });
  } catch (error) {
    // A network failure or a refused host throws. Say which, so that the user can act on it.
    console.warn('price request failed', error.message);
    return failure('The price service cannot be reached: ' + error.message);
  }
  if (response.status === 404) {
    return failure('No price is known for ' + symbol + '.');
  }
  if (response.status !== 200) {
    return failure('The price service answered ' + response.status + '.');
  }
  var answer;
  try {
    answer = JSON.parse(response.body);
  } catch (error) {
    return failure('The price service did not answer with JSON.');
  }
  if (typeof answer.price !== 'number') {
    return failure('The answer of the price service holds no price.');
  }
  return JSON.stringify({
    symbol: symbol,
    price: answer.price,
    currency: answer.currency || 'USD',
    source: answer.source || base,
    as_of: answer.as_of || new Date().toISOString(),
  });
}

globalThis.__skill = {
  default: {
    tools: [
      {
        name: 'get_price',
        description: 'Returns the current price of a symbol, with its currency, source and time.',
        inputSchema: {
          type: 'object',
          properties: { symbol: { type: 'string', description: 'A ticker, for example BTC or ETH.' } },
          required: ['symbol'],
        },
        execute: getPrice,
      },
    ],
  },
};
