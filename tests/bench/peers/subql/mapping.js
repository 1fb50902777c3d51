// Every transfer, and the free balance of each account that an event of Balances names, as of that block.
// `store` and `api` (at the block's hash) are what @subql/node gives its sandbox.
const FIELDS = ['who', 'from', 'to', 'account']

async function handleBlock(block) {
    const height = block.block.header.number.toNumber(), accounts = new Set(), transfers = []
    block.events.forEach(({event}, at) => {
        if (event.section !== 'balances') return
        const {data} = event, names = data.names || []
        names.forEach((name, index) => FIELDS.includes(name) && accounts.add(data[index].toHex()))
        if (event.method === 'Transfer') {
            const [from, to, amount] = data
            transfers.push({
                id: `${height}-${at}`, block: height, from: from.toHex(), to: to.toHex(), amount: amount.toBigInt(),
            })
        }
    })
    const named = [...accounts], infos = await api.query.system.account.multi(named)
    const balances = named.map((account, at) => (
        {id: `${height}-${account}`, block: height, account, free: infos[at].data.free.toBigInt()}
    ))
    await store.bulkCreate('Transfer', transfers)
    await store.bulkCreate('Balance', balances)
}

module.exports = {handleBlock}
