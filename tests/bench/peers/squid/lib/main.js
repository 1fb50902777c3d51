// Every transfer, and the free balance of each account that an event of Balances names, as of that block.
const {SubstrateBatchProcessor} = require('@subsquid/substrate-processor')
const {TypeormDatabase} = require('@subsquid/typeorm-store')
const {Balance, Transfer} = require('./model')

const NAMES_ACCOUNTS = [
    'Balances.Transfer', 'Balances.Endowed', 'Balances.DustLost', 'Balances.BalanceSet', 'Balances.Reserved',
    'Balances.Unreserved', 'Balances.Deposit', 'Balances.Withdraw', 'Balances.Slashed', 'Balances.Minted',
    'Balances.Burned',
]
const FIELDS = ['who', 'from', 'to', 'account']

const processor = new SubstrateBatchProcessor()
    .setRpcEndpoint(process.env.NODE_URL)
    .setBlockRange({from: 1, to: Number(process.env.LAST_BLOCK)})
    .setFields({event: {args: true}})
    .addEvent({name: NAMES_ACCOUNTS})

processor.run(new TypeormDatabase(), async ctx => {
    const transfers = [], balances = []
    await Promise.all(ctx.blocks.map(async block => {
        const {height, hash} = block.header, accounts = new Set()
        for (const {id, name, args} of block.events) {
            for (const field of FIELDS) {
                if (args[field] != null) accounts.add(args[field])
            }
            if (name == 'Balances.Transfer') {
                transfers.push(new Transfer({id, block: height, from: args.from, to: args.to, amount: args.amount}))
            }
        }
        // What the generated `storage.system.account.v*.getMany(block.header, accounts)` calls.
        const infos = await block.header._runtime.queryStorage(hash, 'System.Account', [...accounts])
        let at = 0
        for (const account of accounts) {
            const free = infos[at++]?.data.free ?? 0n
            balances.push(new Balance({id: `${height}-${account}`, block: height, account, free}))
        }
    }))
    await ctx.store.insert(transfers)
    await ctx.store.insert(balances)
})
