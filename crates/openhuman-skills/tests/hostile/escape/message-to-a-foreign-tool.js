// expect: ok /undefined/
return [typeof postMessage, typeof MessageChannel, typeof BroadcastChannel].join();
